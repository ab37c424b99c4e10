//! Builds histories from small snapshots and checks their tables row by row.

mod merged;
mod numbers;
mod on_engine;
mod other_parts;
mod story;
mod subscriptions;

use chrono::{DateTime, Duration, Utc};
use polars::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::analysis::{REPORTS, Report};
use crate::on_paper::assert_shows;
use crate::rules::{Condition, FACTS, Rule};
use crate::steps::{self, Counted, Embedded, Month, STANDING, STEPS};
use archive::engine::{Dialect, Engine as _, Polars, Step};
use archive::snapshot::{
    ATTRIBUTES, Answers, Assembly, Cohort, CohortEntry, Manifest, ObservedSubscriptions, Spool, SpooledStream, Vanished,
};
use domain::{
    AttributeValue, Basis, Choice, Contact, Conversation, CustomAttribute, Fate, MonthSpan, Number, Opener, OwnSubscriptions, Role,
    Subscription, SubscriptionType, TimeZone,
};

/// A job's folder. Its months are observed one after the other.
struct Place {
    root: TempDir,
    definitions: Definitions,
    snapshots: Vec<Snapshot>,
    last: Option<Observed>,
    /// The tables that the SQL of every step makes of the last month; `None` if a test does not need them.
    by_sql: Option<BySql>,
}

/// A month that was counted, and its history.
struct Observed {
    history: History,
    counted: Counted,
}

/// The state of the workspace when a month was observed.
struct Observation<'a> {
    month: &'a str,
    basis: Basis,
    /// All contacts.
    contacts: Vec<Contact>,
    /// Keys and members of the groups.
    cohorts: Vec<(&'a str, Vec<&'a str>)>,
    /// The contact that opened each conversation.
    opened_by: Vec<&'a str>,
    /// `everyone`, `cohorts` or the key of a cohort.
    population: &'a str,
    /// Whether the job fetches conversations.
    conversations: bool,
    /// How identifiers are written.
    identifiers: &'a str,
    /// Keys of cohorts without all of their members.
    incomplete: Vec<&'a str>,
    /// The members that are gone. Each has the contact into which it was merged, or `None` if it was deleted. `None` in place of the list
    /// if the API was not asked.
    vanished: Option<Vec<(&'a str, Option<&'a str>)>>,
}

/// The types of subscriptions of the workspace.
const TYPES: [(&str, &str); 2] = [("71", "Product news"), ("72", "Digest, \"weekly\"")];

/// A contact that made these choices.
fn choosing(contact: Contact, choices: &[(&str, Choice)]) -> Contact {
    let choices = choices.iter().map(|(id, choice)| Subscription { id: (*id).into(), choice: *choice }).collect();
    Contact { subscriptions: Some(OwnSubscriptions { choices, is_complete: true }), ..contact }
}

impl<'a> Observation<'a> {
    /// Observed at the month's end, with everyone as the population.
    fn of(month: &'a str, contacts: Vec<Contact>, cohorts: Vec<(&'a str, Vec<&'a str>)>) -> Observation<'a> {
        Observation {
            month,
            basis: Basis::MonthEnd,
            contacts,
            cohorts,
            opened_by: Vec::new(),
            population: "everyone",
            conversations: true,
            identifiers: "keep",
            incomplete: Vec::new(),
            vanished: None,
        }
    }

    fn span(&self) -> MonthSpan {
        self.month.parse::<domain::Month>().unwrap().span(&TimeZone::utc())
    }
}

/// A user created in 2025.
fn user(id: &str) -> Contact {
    Contact { created_at: Some(at("2025-06-01T00:00:00Z")), ..Contact::unknown(id.to_string(), Role::User) }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn with(contact: Contact, name: &str, value: AttributeValue) -> Contact {
    let mut contact = contact;
    contact.custom_attributes.push(CustomAttribute { name: name.into(), value });
    contact
}

impl Place {
    fn new() -> Place {
        Place { root: tempfile::tempdir().unwrap(), definitions: Definitions::default(), snapshots: Vec::new(), last: None, by_sql: None }
    }

    fn archive(&self) -> Archive {
        Archive::in_folder(self.root.path().to_path_buf(), None)
    }

    /// Publishes the month's snapshot and builds its history from the last one.
    fn observe(&mut self, observation: &Observation<'_>) -> &Observed {
        let snapshot = self.snapshot(observation);
        self.follow(snapshot)
    }

    fn follow(&mut self, snapshot: Snapshot) -> &Observed {
        let last = self.last.take();
        let previous = last.as_ref().map(|observed| &observed.history);
        let earlier: Vec<&Snapshot> = self.snapshots.iter().collect();
        let month = Month { snapshot: &snapshot, definitions: &self.definitions, previous, counted_before: None, earlier: &earlier };
        let by_sql = &mut self.by_sql;
        by_sql.iter_mut().for_each(|by_sql| *by_sql = BySql::default());
        let watch = |engine: &Embedded, step: &Step| by_sql.iter_mut().for_each(|by_sql| by_sql.follow(engine, step));
        let counted = month.count_watched(watch).unwrap();
        let history = counted.publish_history(&self.archive(), &month).unwrap();
        if let Some(last) = &last {
            let before = last.counted.clone().for_next_month();
            assert_same_month(&counted, &Month { counted_before: Some(&before), ..month }.count().unwrap());
        }
        self.snapshots.push(snapshot);
        self.last.insert(Observed { history, counted })
    }

    fn snapshot(&self, observation: &Observation<'_>) -> Snapshot {
        let span = observation.span();
        let (archive, work) = (self.archive(), self.archive().work_of(span.month.into()));
        let observed_at = span.end + Duration::hours(1);
        let stream = |name: &str, is_in: &dyn Fn(&Contact) -> bool| {
            let folder = work.join(name);
            let mut spool: Spool<Contact> = Spool::create(folder.clone(), observed_at).unwrap();
            spool.push(observation.contacts.iter().filter(|contact| is_in(contact)).cloned().collect());
            SpooledStream::whole(folder, spool.finish().unwrap())
        };
        let in_group = |members: &Vec<&str>, contact: &Contact| members.contains(&contact.id.as_str());
        let mut streams: Vec<SpooledStream> = observation
            .cohorts
            .iter()
            .enumerate()
            .map(|(index, (_, members))| stream(&format!("cohort-{index}"), &|contact| in_group(members, contact)))
            .collect();
        if observation.population == "everyone" {
            streams.push(stream("everyone", &|_| true));
        }
        let conversation = |(index, id): (usize, &&str)| Conversation {
            id: format!("{index}"),
            created_at: span.start,
            updated_at: None,
            opener: Opener::Contact(id.to_string()),
            contact_ids: vec![id.to_string()],
            author_type: None,
            source_type: None,
            delivered_as: None,
            state: None,
        };
        let folder = work.join("conversations");
        let mut spool: Spool<Conversation> = Spool::create(folder.clone(), observed_at).unwrap();
        spool.push(observation.opened_by.iter().enumerate().map(conversation).collect());
        let conversations = SpooledStream::whole(folder, spool.finish().unwrap());

        let kind = |(id, name): (&str, &str)| SubscriptionType {
            id: id.to_string(),
            name: Some(name.to_string()),
            consent_type: None,
            state: None,
        };
        let has_subscriptions = observation.contacts.iter().any(|contact| contact.subscriptions.is_some());
        let observed = ObservedSubscriptions { types: TYPES.map(kind).to_vec(), answers: work.join("subscriptions") };
        let fates = work.join("vanished");
        for (id, into) in observation.vanished.iter().flatten() {
            let mut answers = Answers::open(fates.clone()).unwrap();
            answers.push(id.to_string(), vec![into.map_or(Fate::Deleted, |into| Fate::Merged(into.to_string()))]).unwrap();
            answers.flush().unwrap();
        }
        let asked = observation.vanished.as_ref().map(|vanished| Vanished { asked: vanished.len() as u64, not_asked: 0 });

        let key = |(stream, (key, _)): (usize, &(&str, Vec<&str>))| Cohort { key: key.to_string(), stream, tagged_before: None };
        let assembly = Assembly {
            streams,
            population: observation.cohorts.iter().position(|(key, _)| *key == observation.population),
            cohorts: observation.cohorts.iter().enumerate().map(key).collect(),
            conversations: observation.conversations.then_some(conversations),
            subscriptions: has_subscriptions.then_some(observed),
            fates: asked.filter(|asked| asked.asked > 0).map(|_| fates),
            span,
        };
        let staging = archive.stage(Section::Snapshots, span.month).unwrap();
        assembly.write(&staging).unwrap();
        let cohort = |(key, members): &(&str, Vec<&str>)| CohortEntry {
            cohort_key: key.to_string(),
            // The groups are renamed in summer.
            cohort_name: if observation.month < "2026-07" { key.to_string() } else { format!("{key}, it's \"new\"") },
            configured: key.to_string(),
            basis: observation.basis.to_string(),
            observed_at,
            members: members.len() as u64,
            announced: Some(members.len() as u64),
            created_at: None,
            updated_at: None,
        };
        let manifest = Manifest {
            format: Manifest::CURRENT_FORMAT,
            job: "story".to_string(),
            month: observation.month.to_string(),
            basis: observation.basis.to_string(),
            observed_at,
            program_version: String::new(),
            api_version: String::new(),
            timezone: "UTC".to_string(),
            timezone_table: None,
            month_start: span.start,
            month_end: span.end,
            workspace_id: None,
            contact_workspace_id: None,
            population: observation.population.to_string(),
            replaces: None,
            conversations: observation.conversations,
            subscriptions: has_subscriptions,
            vanished: asked,
            cohorts: observation.cohorts.iter().map(cohort).collect(),
            identifiers: observation.identifiers.to_string(),
            email_hash: None,
            forgotten: 0,
            files: staging.files(),
            requests: 0,
            retries: 0,
            incomplete: observation.incomplete.iter().map(|key| key.to_string()).collect(),
            findings: Vec::new(),
        };
        archive.publish_snapshot(span.month, staging, manifest).unwrap();
        archive.snapshot(span.month).unwrap().unwrap()
    }
}

/// One table of a month: from disk if the history keeps it.
fn read(observed: &Observed, table: &'static Table) -> DataFrame {
    if TABLES.iter().any(|kept| kept.name == table.name) {
        observed.history.scan(table).unwrap().collect().unwrap()
    } else {
        observed.counted.table(table).unwrap()
    }
}

/// Asserts that a month has the same rows, whether the tables of the month before were read from disk or were in memory.
fn assert_same_month(one: &Counted, other: &Counted) {
    for table in TABLES.iter().filter(|table| table.name != STATES.name) {
        let (one, other) = (one.table(table).unwrap(), other.table(table).unwrap());
        assert!(one.equals_missing(&other), "{}: {one} {other}", table.name);
    }
    assert_eq!(one.unreadable, other.unreadable);
    for report in REPORTS {
        let rows = |counted: &Counted| Some(report.per_member(counted.embedded().unwrap())?.unwrap().lazy().unwrap().collect().unwrap());
        assert!(rows(one).zip(rows(other)).is_none_or(|(one, other)| one.equals_missing(&other)), "{}", report.table.name);
    }
}

/// Runs the SQL of every step beside the engine of this process, and compares their rows.
#[derive(Default)]
struct BySql(Option<Polars>);

impl BySql {
    fn tables(&self) -> &Polars {
        self.0.as_ref().unwrap()
    }

    fn follow(&mut self, engine: &Embedded, step: &Step) {
        // The engine's tables are copied after its first step. At that time they are the inputs and the first step's own table, which its
        // SQL does not read.
        let by_sql = self.0.get_or_insert_with(|| engine.tables().clone());
        if step.table.name == "signatures" {
            // The SQL gives each contact a signature of its own, so the rows differ. The later steps read the engine's signatures.
            return by_sql.put(step.table, engine.tables().table("signatures").unwrap()).unwrap();
        }
        by_sql.run(step).unwrap();
        if let Ok(rows) = engine.tables().table(step.table.name) {
            let (rows, sql) = (in_order(rows), in_order(by_sql.table(step.table.name).unwrap()));
            assert!(rows.equals_missing(&sql), "{}: {rows} {sql}", step.table.name);
        }
    }

    /// Asserts that each report with a row for each member has the rows of its SQL.
    fn check_reports(&self, counted: &Counted) {
        for report in REPORTS {
            if let Some(rows) = report.per_member(counted.embedded().unwrap()) {
                let sql = self.tables().result(&report.step().unwrap()).unwrap();
                let sql = self.tables().numbers().texts(sql, &report.table).unwrap();
                let rows = rows.unwrap().lazy().unwrap().collect().unwrap();
                assert!(rows.equals_missing(&sql), "{}: {rows} {sql}", report.table.name);
            }
        }
    }
}

/// The rows in the order of all columns. Some tables have no key.
fn in_order(rows: &DataFrame) -> DataFrame {
    let names: Vec<PlSmallStr> = rows.columns().iter().map(|column| column.name().clone()).collect();
    rows.sort(names, SortMultipleOptions::default()).unwrap()
}

fn people(observed: &Observed) -> DataFrame {
    let members = Report::named("members").unwrap().per_member(observed.counted.embedded().unwrap()).unwrap();
    members.unwrap().lazy().unwrap().collect().unwrap()
}

#[track_caller]
fn check(observed: &Observed, table: &'static Table, expected: &str) {
    assert_shows(&read(observed, table), expected);
}
