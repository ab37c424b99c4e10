//! The clock of this machine, held against the `Date` of the API's answers: by wall clocks, as there is nothing to check of one
//! that stands still. The simulator's `Date` is the wall's, and shifted by faults.

use std::time::SystemTime;

use chrono::{DateTime, Datelike, Months, Utc};

use crate::support::job::{Place, small_job};
use crate::support::program::{Finished, Program, cohorts, on, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::{Row, text};
use crate::support::truth::AUGUST;

/// The month of so many months ago, in UTC.
fn month(ago: u32) -> String {
    let now = DateTime::<Utc>::from(SystemTime::now());
    now.checked_sub_months(Months::new(ago)).unwrap().format("%Y-%m").to_string()
}

struct Rehearsal {
    place: Place,
    simulator: Simulator,
}

impl Rehearsal {
    fn with(arguments: &[&str]) -> Rehearsal {
        Rehearsal { place: Place::new(), simulator: Simulator::at(AUGUST.as_of, arguments) }
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Program {
        let job = small_job().with_intercom("page_size = 5");
        on(&self.place.job(&job, &self.simulator.base_url), command, arguments)
    }

    /// A run of a month that is long over by any clock.
    fn late_run(&self) -> Finished {
        self.command("run", &["--month", &month(6)]).succeed()
    }

    fn findings(&self) -> Vec<Row> {
        let rows = self.place.report(&month(6), "data_quality").rows_by_name();
        rows.into_iter().filter(|row| row["check_name"] == text("clock_differs")).collect()
    }
}

#[test]
fn clocks_more_than_five_minutes_apart_are_a_warning_and_a_finding() {
    for (fault, value, way) in [("date+10m:1", "behind", "behind the API's"), ("date-2h:1", "ahead", "ahead of the API's")] {
        let rehearsal = Rehearsal::with(&["--faults", fault]);
        let finished = rehearsal.late_run();
        assert!(finished.stderr.contains("WARN") && finished.stderr.contains(way), "{}", finished.stderr);
        let findings = rehearsal.findings();
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((&finding["severity"], &finding["subject"]), (&text("warning"), &text("clock")));
        assert_eq!(finding["expected"], text("within 5m"));
        let reported = finding["value"].shown();
        // A second or two of the run may be in it.
        let nearly = if value == "behind" { ["10m", "9m 5"] } else { ["2h", "1h 59m 5"] };
        assert!(reported.ends_with(value) && nearly.iter().any(|nearly| reported.starts_with(nearly)), "{reported}");
    }
}

#[test]
fn clocks_that_agree_and_dates_that_say_nothing_are_not_reported() {
    // A minute, no date, an answer with its age, and one without it, all but the first of which are from the API.
    let faults = [["--faults", "date+1m:1"], ["--faults", "bad-date:1"], ["--faults", "aged:1"], ["--faults-at", "1=date-40d"]];
    for arguments in faults {
        let rehearsal = Rehearsal::with(&arguments);
        let finished = rehearsal.late_run();
        assert!(!finished.stderr.contains("clock"), "{arguments:?}: {}", finished.stderr);
        assert_eq!(rehearsal.findings(), Vec::<Row>::new(), "{arguments:?}");
    }
}

#[test]
fn a_run_that_the_api_would_see_otherwise_is_refused_before_it_fetches() {
    let (this, before, long_ago) = (month(0), month(1), month(6));
    let cases: [(&str, &str, Vec<&str>, &[&str]); 5] = [
        // Another month is the last one that has ended.
        ("date+40d:1", "run", vec![], &["behind the API's", "the last month that has ended", &before]),
        ("date-40d:1", "run", vec!["--dry-run"], &["ahead of the API's", "the last month that has ended", &before]),
        // This month has not ended.
        ("date+40d:1", "run", vec!["--month", &this], &[&this, "`preliminary` by this machine's clock", "by the API's"]),
        ("date+40d:1", "run", vec!["--month", &this, "--accept-incomplete"], &["`preliminary` by this machine's clock"]),
        ("date+40d:1", "backfill", vec!["--from", &long_ago, "--to", &this], &[&this, "`preliminary` by this machine's clock"]),
    ];
    for (fault, command, arguments, words) in cases {
        let rehearsal = Rehearsal::with(&["--faults", fault]);
        let finished = rehearsal.command(command, &arguments).finish();
        finished.check_failure(2, words);
        assert!(finished.stderr.contains("NTP"), "{}", finished.stderr);
        assert!(rehearsal.simulator.stats().requests <= 2, "{arguments:?}: asked for more than the time");
        assert!(!rehearsal.place.job_folder().join("snapshots").exists() || !rehearsal.place.snapshot(&this).exists());
    }
}

#[test]
fn a_month_that_is_the_same_by_both_clocks_is_observed() {
    let rehearsal = Rehearsal::with(&["--faults", "date+40d:1"]);
    rehearsal.late_run();
    assert_eq!(rehearsal.findings().len(), 1);
}

#[test]
fn nothing_is_checked_of_a_clock_that_stands_still() {
    let rehearsal = Rehearsal::with(&["--faults", "date+40d:1"]);
    let finished = rehearsal.command("run", &["--as-of", AUGUST.as_of]).succeed();
    assert!(!finished.stderr.contains("clock"), "{}", finished.stderr);
    let rows = rehearsal.place.report("2026-08", "data_quality").rows_by_name();
    assert!(rows.iter().all(|row| row["check_name"] != text("clock_differs")));
}

#[test]
fn check_reports_the_clock() {
    let line = |rehearsal: &Rehearsal| {
        let finished = rehearsal.command("check", &["--json"]).finish();
        let lines: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        let found = lines.as_array().unwrap().iter().find(|line| line["subject"] == "clock").cloned();
        (finished.code, found)
    };
    let reported = |fault: &str| {
        let (code, line) = line(&Rehearsal::with(&["--faults", fault]));
        let line = line.unwrap();
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_string();
        (code, word("level"), word("detail"), word("hint"))
    };
    let (code, level, detail, _) = reported("date+1m:1");
    assert_eq!((code, level.as_str(), detail.as_str()), (Some(0), "ok", "this machine's clock is within 5 minutes of the API's"));
    // Around the end of a month and of the grace after it, ten minutes may be too many.
    let now = DateTime::<Utc>::from(SystemTime::now());
    if (5..28).contains(&now.day()) {
        let (code, level, detail, hint) = reported("date+10m:1");
        assert_eq!((code, level.as_str()), (Some(0), "warning"));
        assert!(detail.contains("behind the API's") && hint.contains("NTP"), "{detail} {hint}");
    }
    let (code, level, detail, hint) = reported("date+40d:1");
    assert_eq!((code, level.as_str()), (Some(2), "error"));
    assert!(detail.contains("the last month that has ended is") && hint.contains("NTP"), "{detail} {hint}");
    assert_eq!(line(&Rehearsal::with(&["--faults", "bad-date:1"])), (Some(0), None));
}

#[test]
fn answers_without_a_date_are_no_obstacle() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), {
        let address = simulator.address().to_string();
        move |request| {
            let Reply::Http { status, headers, body } = crate::support::scripted::forward(&address, request) else { return None };
            Some(Reply::Http { status, headers: headers.into_iter().filter(|(name, _)| name != "date").collect(), body })
        }
    });
    let place = Place::new();
    let finished = run(&place.job(&small_job(), &recorder.base_url), &["--month", &month(6)]).succeed();
    assert!(!finished.stderr.contains("clock"), "{}", finished.stderr);
    let checked = cohorts(["check", "--json", "--job"]).arguments(&[place.folder().join("job.toml").to_str().unwrap()]).finish();
    assert_eq!(checked.code, Some(0));
    assert!(!checked.stdout.contains("\"clock\""), "{}", checked.stdout);
}
