//! Years of a workspace, without a server: does a month cost a month?
//!
//!     cargo bench --bench history              # 36 months of 200,000 contacts in 12 groups; or with other sizes:
//!     cargo bench --bench history -- --months 12 --contacts 20000 --keep /tmp/years
//!
//! Writes a snapshot a month, has `cohorts report` build each month's history and reports in a process of its own, and
//! prints time and peak memory of month 3 and of the last. Then runs every counting query of the last month on its
//! Parquet, here and in DuckDB (benches/duckdb_queries.py, with the Python that PYTHON names), and prints both.

#[path = "shared/queries.rs"]
mod queries;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use archive::publish::Staging;
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, CohortEntry, MEMBERS, Manifest, SUBSCRIPTION_TYPES, SUBSCRIPTIONS};
use archive::table::{ROW_GROUP_ROWS, Table, instants, write_parquet};
use archive::{Archive, Section};
use chrono::{DateTime, Duration, Utc};
use domain::{Month, TimeZone};
use polars::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use queries::{PROFILE, Timed, compare, sums};

type Failure = Box<dyn std::error::Error>;

const LAST_MONTH: &str = "2026-10";
/// Of the members of a group, so many leave in a month; as many join.
const TURNOVER: f64 = 0.08;
/// So many contacts are deleted in a month; as many sign up.
const DELETED: f64 = 0.01;
/// A contact is in so many groups on average.
const MEMBERSHIPS: f64 = 3.0;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned();
    let number = |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (months, contacts, groups) = (number("--months", 36), number("--contacts", 200_000), number("--groups", 12));
    let kept = value("--keep").map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("cohorts-years-{}", std::process::id())));
    fs::create_dir_all(&folder)?;
    let job = job_file(&folder, groups)?;
    let root = folder.join("output/years");
    let archive = Archive::in_folder(root.clone(), None);

    let mut out = std::io::stdout();
    writeln!(out, "{months} months of {contacts} contacts in {groups} groups")?;
    let mut span = LAST_MONTH.parse::<Month>()?;
    for _ in 1..months {
        span = span.previous();
    }
    let mut world = World::new(contacts, groups);
    let mut third = None;
    let mut last = span;
    for number in 1..=months {
        world.live(span, &archive)?;
        let cost = analyse(&job, span)?;
        if number == 3 {
            third = Some(cost);
        }
        if number == 3 || number == months {
            writeln!(out, "  month {number:>2}: {:>6.2} s, peak {} MiB", cost.seconds, cost.peak_kib / 1024)?;
        }
        if let (Some(third), true) = (third, number == months) {
            writeln!(out, "  month {number} / month 3: {:.2}", cost.seconds / third.seconds)?;
        }
        (last, span) = (span, span.next());
    }

    let (timed, why_not) = compare(&root, &folder.join("inputs"), last)?;
    writeln!(out, "steps of the last month, and the old queries in DuckDB:")?;
    let shown = |seconds: Option<f64>| seconds.map_or("not run".to_string(), |seconds| format!("{seconds:.3} s"));
    for Timed { name, here, duckdb } in &timed {
        writeln!(out, "  {name:<36} {:>9}   DuckDB {:>9}", shown(*here), shown(*duckdb))?;
    }
    if let Some(why) = why_not {
        writeln!(out, "without DuckDB: {why}")?;
    }
    if let Some((here, steps, old)) = sums(&timed) {
        writeln!(
            out,
            "all steps {here:.2} s; DuckDB {steps:.2} s, ratio {:.2}; old queries {old:.2} s, ratio {:.2}",
            here / steps,
            here / old
        )?;
    }
    if kept.is_none() {
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn job_file(folder: &Path, groups: usize) -> Result<PathBuf, Failure> {
    let tags: Vec<String> = (0..groups).map(|group| format!("\"id:{group}\"")).collect();
    let profile: Vec<String> = PROFILE.iter().map(|name| format!("{name:?}")).collect();
    let text = format!(
        "name = \"years\"\ntimezone = \"UTC\"\ntags = [{}]\nprofile = [{}]\n[output]\ndir = {:?}\n",
        tags.join(", "),
        profile.join(", "),
        folder.join("output")
    );
    let path = folder.join("years.toml");
    fs::write(&path, text)?;
    Ok(path)
}

#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    peak_kib: u64,
}

/// `cohorts report` for one month, in a process of its own.
fn analyse(job: &Path, month: Month) -> Result<Cost, Failure> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cohorts"))
        .args(["report", "--quiet", "--month", &month.to_string(), "--job"])
        .arg(job)
        .stdout(Stdio::null())
        .spawn()?;
    let process = child.id();
    let watcher = std::thread::spawn(move || peak_memory(process));
    let status = child.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the report of {month} ended with {status}").into());
    }
    Ok(Cost { seconds, peak_kib: watcher.join().map_err(|_| "the watcher broke off")? })
}

/// The most memory that the process has held so far, in KiB, until it ends. Linux keeps the mark itself.
fn peak_memory(process: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
        match mark {
            Some(mark) => peak = mark,
            // A process that has ended but was not waited for has no memory left.
            None => break,
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    peak
}

/// Contacts who come and go, and the groups they are in.
struct World {
    random: ChaCha8Rng,
    groups: usize,
    people: Vec<Person>,
    born: u64,
}

struct Person {
    id: String,
    created_at: DateTime<Utc>,
    is_lead: bool,
    country: usize,
    browser: usize,
    plan: usize,
    seats: u32,
    is_unsubscribed: bool,
    /// The type of subscription that the contact opted out of.
    opted_out: Option<usize>,
    /// In order.
    groups: Vec<u16>,
}

const COUNTRIES: &[&str] = &["Ireland", "Brazil", "Germany", "France", "Japan", "Kenya", "India", "Canada", "Chile", "Norway"];
const BROWSERS: &[&str] = &["chrome", "firefox", "safari", "edge"];
const SUBSCRIPTION_NAMES: &[&str] = &["News", "Tips", "Offers", "Events", "Surveys"];
const PLANS: &[&str] = &["free", "pro", "team", "enterprise"];

impl World {
    fn new(contacts: usize, groups: usize) -> World {
        let mut world = World { random: ChaCha8Rng::seed_from_u64(1), groups, people: Vec::with_capacity(contacts), born: 0 };
        let begin = DateTime::from_timestamp(1_672_531_200, 0).unwrap_or_default();
        for _ in 0..contacts {
            let person = world.person(begin);
            world.people.push(person);
        }
        world
    }

    fn person(&mut self, created_at: DateTime<Utc>) -> Person {
        let random = &mut self.random;
        self.born += 1;
        let share = MEMBERSHIPS / self.groups as f64;
        let groups = (0..self.groups as u16).filter(|_| random.random_bool(share)).collect();
        Person {
            id: format!("{:08x}{:016x}", created_at.timestamp(), random.next_u64()),
            created_at,
            is_lead: random.random_bool(0.2),
            country: random.random_range(0..COUNTRIES.len()),
            browser: random.random_range(0..BROWSERS.len()),
            plan: random.random_range(0..PLANS.len()),
            seats: random.random_range(1..200),
            is_unsubscribed: random.random_bool(0.05),
            opted_out: random.random_bool(0.15).then(|| random.random_range(0..SUBSCRIPTION_NAMES.len())),
            groups,
        }
    }

    /// One month of coming and going, and its snapshot.
    fn live(&mut self, month: Month, archive: &Archive) -> Result<(), Failure> {
        let span = month.span(&TimeZone::utc());
        let share = MEMBERSHIPS / self.groups as f64;
        let joins = TURNOVER * share / (1.0 - share);
        for index in 0..self.people.len() {
            if self.random.random_bool(DELETED) {
                let seconds = self.random.random_range(0..(span.end - span.start).num_seconds());
                self.people[index] = self.person(span.start + Duration::seconds(seconds));
                continue;
            }
            let groups = &mut self.people[index].groups;
            let (random, was) = (&mut self.random, std::mem::take(groups));
            let is_member = |group: &u16| random.random_bool(if was.binary_search(group).is_ok() { 1.0 - TURNOVER } else { joins });
            groups.extend((0..self.groups as u16).filter(is_member));
        }
        self.snapshot(month, archive)
    }

    fn snapshot(&mut self, month: Month, archive: &Archive) -> Result<(), Failure> {
        let span = month.span(&TimeZone::utc());
        let observed_at = span.end + Duration::hours(2);
        let mut staging = archive.stage(Section::Snapshots, month)?;
        let mut order: Vec<usize> = (0..self.people.len()).collect();
        order.sort_by(|a, b| self.people[*a].id.cmp(&self.people[*b].id));
        for (index, part) in order.chunks(ROW_GROUP_ROWS).enumerate() {
            let people: Vec<&Person> = part.iter().map(|index| &self.people[*index]).collect();
            put(&mut staging, &CONTACTS, index, contacts(&people)?)?;
            put(&mut staging, &ATTRIBUTES, index, attributes(&people)?)?;
            put(&mut staging, &SUBSCRIPTIONS, index, subscriptions(&people)?)?;
        }
        let numbers = (0..SUBSCRIPTION_NAMES.len()).map(|number| number.to_string());
        let types = df!(
            "subscription_id" => numbers.collect::<Vec<_>>(),
            "name" => SUBSCRIPTION_NAMES,
            "consent_type" => vec!["opt_out"; SUBSCRIPTION_NAMES.len()],
            "state" => vec!["live"; SUBSCRIPTION_NAMES.len()],
        )?;
        put(&mut staging, &SUBSCRIPTION_TYPES, 0, types)?;
        let mut cohorts = Vec::new();
        for group in 0..self.groups {
            let members: Vec<&str> = order
                .iter()
                .map(|index| &self.people[*index])
                .filter(|p| p.groups.binary_search(&(group as u16)).is_ok())
                .map(|p| p.id.as_str())
                .collect();
            let key = format!("tag:{group}");
            cohorts.push(CohortEntry {
                cohort_key: key.clone(),
                cohort_name: format!("group {group}"),
                configured: format!("id:{group}"),
                basis: "month_end".to_string(),
                observed_at,
                created_at: None,
                updated_at: None,
                members: members.len() as u64,
                announced: Some(members.len() as u64),
            });
            let frame = df!("cohort_key" => vec![key; members.len()], "contact_id" => members)?;
            put(&mut staging, &MEMBERS, group, frame)?;
        }
        cohorts.sort_by(|a, b| a.cohort_key.cmp(&b.cohort_key));
        let mut opened = Vec::new();
        for (number, index) in order.iter().enumerate() {
            if self.random.random_bool(0.2) {
                opened.push((format!("{month}-{number:09}"), self.people[*index].id.clone()));
            }
        }
        let conversations = df!(
            "conversation_id" => opened.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
            "opened_by" => opened.iter().map(|(_, contact)| contact.as_str()).collect::<Vec<_>>(),
        )?;
        let created = instants("created_at", std::iter::repeat_n(Some(span.start), opened.len()));
        put(&mut staging, &CONVERSATIONS, 0, conversations.hstack(&[created])?)?;
        let manifest = Manifest {
            format: Manifest::CURRENT_FORMAT,
            job: "years".to_string(),
            month: month.to_string(),
            basis: "month_end".to_string(),
            observed_at,
            program_version: "bench".to_string(),
            api_version: "2.14".to_string(),
            timezone: "UTC".to_string(),
            timezone_table: None,
            month_start: span.start,
            month_end: span.end,
            workspace_id: None,
            contact_workspace_id: None,
            population: "everyone".to_string(),
            replaces: None,
            conversations: true,
            subscriptions: true,
            vanished: None,
            cohorts,
            identifiers: "keep".to_string(),
            email_hash: None,
            forgotten: 0,
            files: staging.files().to_vec(),
            requests: 0,
            retries: 0,
            incomplete: Vec::new(),
            findings: Vec::new(),
        };
        Ok(archive.publish_snapshot(month, staging, manifest)?)
    }
}

/// Writes a part with the table's columns; those that the frame lacks are null.
fn put(staging: &mut Staging, table: &'static Table, index: usize, frame: DataFrame) -> Result<(), Failure> {
    let rows = frame.height();
    let missing = table.columns.iter().filter(|column| frame.column(column.name).is_err());
    let nulls: Vec<Column> = missing.map(|column| Column::full_null(column.name.into(), rows, &column.kind.dtype())).collect();
    let relative = format!("{}/part-{index:04}.parquet", table.name);
    let rows = write_parquet(&frame.hstack(&nulls)?, table, &staging.place(&relative)?)?;
    Ok(staging.list(&relative, rows)?)
}

fn contacts(people: &[&Person]) -> Result<DataFrame, Failure> {
    let frame = df!(
        "contact_id" => people.iter().map(|person| person.id.as_str()).collect::<Vec<_>>(),
        "in_population" => vec![true; people.len()],
        "role" => people.iter().map(|person| if person.is_lead { "lead" } else { "user" }).collect::<Vec<_>>(),
        "external_id" => people.iter().map(|person| format!("u-{}", &person.id[8..])).collect::<Vec<_>>(),
        "email" => people.iter().map(|person| format!("{}@example.org", &person.id[8..])).collect::<Vec<_>>(),
        "country" => people.iter().map(|person| COUNTRIES[person.country]).collect::<Vec<_>>(),
        "browser" => people.iter().map(|person| BROWSERS[person.browser]).collect::<Vec<_>>(),
        "unsubscribed_from_emails" => people.iter().map(|person| person.is_unsubscribed).collect::<Vec<_>>(),
        "has_hard_bounced" => vec![false; people.len()],
        "marked_email_as_spam" => vec![false; people.len()],
    )?;
    Ok(frame.hstack(&[instants("created_at", people.iter().map(|person| Some(person.created_at)))])?)
}

fn subscriptions(people: &[&Person]) -> Result<DataFrame, Failure> {
    let choices = people.iter().filter_map(|person| Some((person.id.as_str(), person.opted_out?.to_string())));
    let (contacts, numbers): (Vec<&str>, Vec<String>) = choices.unzip();
    Ok(df!("state" => vec!["opted_out"; contacts.len()], "contact_id" => contacts, "subscription_id" => numbers)?)
}

fn attributes(people: &[&Person]) -> Result<DataFrame, Failure> {
    let rows: Vec<(&str, &str, String, Option<f64>, &str)> = people
        .iter()
        .flat_map(|person| {
            let id = person.id.as_str();
            [
                (id, "plan", PLANS[person.plan].to_string(), None, "text"),
                (id, "seats", person.seats.to_string(), Some(f64::from(person.seats)), "number"),
                (id, "source", BROWSERS[(person.seats as usize) % 4].to_string(), None, "text"),
            ]
        })
        .collect();
    Ok(df!(
        "contact_id" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "attribute" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.2.as_str()).collect::<Vec<_>>(),
        "value_number" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        "value_type" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
    )?)
}
