//! Months that no longer rest on what they were made from: who says so, and what mends them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::support::job::{Job, Place, small_job};
use crate::support::program::{backfill, on, run};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, published, tables};
use crate::support::truth::{AUGUST, JULY, Month, SEPTEMBER};

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";
const NOW: &str = "2026-10-02T23:00:00Z";
const MONTHS: [Month; 3] = [JULY, AUGUST, SEPTEMBER];

fn observe(place: &Place, month: &Month) {
    let simulator = Simulator::at(month.as_of, &[]);
    run(&place.job(&small_job(), &simulator.base_url), &["--month", month.name, "--as-of", month.as_of]).succeed();
}

/// Three months, each observed in time.
fn three_months() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let place = Place::kept("three-months");
        MONTHS.iter().for_each(|month| observe(&place, month));
        place.job_folder()
    });
    &MADE
}

/// The months that `status` calls stale. Checks that the exit code of `--check` agrees.
#[track_caller]
fn stale(place: &Place, job: &Job) -> Vec<String> {
    let file = place.job(job, NOWHERE);
    let reported = on(&file, "status", &["--json", "--as-of", NOW]).without_token().succeed();
    let reported: serde_json::Value = serde_json::from_str(&reported.stdout).unwrap();
    let months = reported["months"].as_array().unwrap().iter().filter(|month| month["stale"] == true);
    let stale: Vec<String> = months.map(|month| month["month"].as_str().unwrap().to_string()).collect();
    let checked = on(&file, "status", &["--check", "--as-of", NOW]).finish();
    checked.check_code(if stale.is_empty() { 0 } else { 8 });
    assert_eq!(checked.stdout.matches("stale").count(), stale.len(), "{}", checked.stdout);
    stale
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_month_that_is_replaced_leaves_the_later_ones_stale_until_they_are_rebuilt() {
    let place = Place::with(three_months());
    assert_eq!(stale(&place, &small_job()), none());
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&small_job(), &simulator.base_url);
    let before = published(&place.job_folder());
    let replaced = run(&file, &["--month", "2026-07", "--replace", "--as-of", "2026-08-03T12:00:00Z"]).succeed();
    let warned = replaced.stderr.lines().find(|line| line.contains("stale")).unwrap_or_else(|| panic!("{}", replaced.stderr));
    for word in ["2026-08", "2026-09", "report --all"] {
        assert!(warned.contains(word), "{word}: {warned}");
    }
    assert!(!warned.contains("2026-07"), "{warned}");
    assert_eq!(stale(&place, &small_job()), ["2026-08", "2026-09"]);
    let later = |tree: crate::support::tree::Tree| -> crate::support::tree::Tree {
        // The index is of all months.
        tree.into_iter().filter(|(name, _)| !name.contains("run_month=2026-07/") && name != "index.html").collect()
    };
    check_same(&later(published(&place.job_folder())), &later(before), "later months are left as they are");

    // A run that finds another month published warns again, and mends what is not later.
    let again = run(&file, &["--month", "2026-08", "--as-of", AUGUST.as_of]).succeed();
    assert!(again.stdout.contains("rebuilt from the snapshot"), "{}", again.stdout);
    assert!(again.stderr.lines().any(|line| line.contains("stale") && line.contains("2026-09")), "{}", again.stderr);
    assert_eq!(stale(&place, &small_job()), ["2026-09"]);

    let all = on(&file, "report", &["--all"]).without_token().succeed();
    assert!(all.stdout.contains("2026-09  history and reports rebuilt"), "{}", all.stdout);
    assert_eq!(stale(&place, &small_job()), none());
    let quiet = run(&file, &["--month", "2026-08", "--as-of", AUGUST.as_of]).succeed();
    assert!(!quiet.stderr.contains("stale"), "{}", quiet.stderr);
}

#[test]
fn months_after_one_that_was_added_later_are_rebuilt_by_the_next_run() {
    let place = Place::new();
    observe(&place, &JULY);
    observe(&place, &SEPTEMBER);
    let file = place.job(&small_job(), NOWHERE);
    let gap = on(&file, "status", &["--check", "--as-of", NOW]).finish();
    gap.check_code(8);
    assert!(gap.stdout.contains("2026-08"), "{}", gap.stdout);

    let simulator = Simulator::at(NOW, &[]);
    let file = place.job(&small_job(), &simulator.base_url);
    let september = tables(crate::support::tree::tree(&place.reports("2026-09")));
    let filled = backfill(&file, ("2026-08", "2026-08"), NOW, &[]).succeed();
    assert!(filled.stderr.lines().any(|line| line.contains("stale") && line.contains("2026-09")), "{}", filled.stderr);
    assert_eq!(stale(&place, &small_job()), ["2026-09"]);
    let rebuilt = run(&file, &["--as-of", NOW]).succeed();
    assert!(
        rebuilt.stdout.contains("2026-09 is published already") && rebuilt.stdout.contains("rebuilt from the snapshot"),
        "{}",
        rebuilt.stdout
    );
    assert_eq!(stale(&place, &small_job()), none());
    check_same(&tables(crate::support::tree::tree(&place.reports("2026-09"))), &september, "a late month in between changes no table");

    // A backfill whose range ends with the newest month leaves nothing stale.
    let file = place.job(&small_job(), &simulator.base_url);
    fs::remove_dir_all(place.snapshot("2026-08")).unwrap();
    let filled = backfill(&file, ("2026-08", "2026-09"), NOW, &[]).succeed();
    assert!(!filled.stderr.contains("stale"), "{}", filled.stderr);
    assert_eq!(stale(&place, &small_job()), none());
}

#[test]
fn another_profile_or_other_thresholds_make_every_month_stale() {
    let place = Place::with(three_months());
    let all = ["2026-07", "2026-08", "2026-09"];
    let thresholds = small_job().with_top("opened_at_least = [2, 7]");
    assert_eq!(stale(&place, &thresholds), all);
    let mut profile = small_job();
    profile.top.retain(|line| !line.starts_with("profile"));
    let profile = profile.with_top("profile = [\"role\", \"country\"]");
    assert_eq!(stale(&place, &profile), all);
    // What does not show in any report does not.
    assert_eq!(stale(&place, &small_job().with_top("grace = \"5d\"").with_intercom("page_size = 60")), none());

    // One month alone rests on histories of the old profile: they are rebuilt, and so are its reports.
    let file = place.job(&profile, NOWHERE);
    on(&file, "report", &["--month", "2026-08"]).without_token().succeed();
    assert_eq!(stale(&place, &profile), ["2026-07", "2026-09"]);
    on(&file, "report", &["--all"]).without_token().succeed();
    assert_eq!(stale(&place, &profile), none());
    let attributes = |month: &str| {
        let mut texts = place.report(month, "attribute_profile").texts("attribute");
        texts.dedup();
        texts
    };
    assert_eq!(all.map(attributes), all.map(|_| vec!["country".to_string(), "role".to_string()]));

    // And back: the same bytes as before.
    let file = place.job(&small_job(), NOWHERE);
    run(&file, &["--as-of", NOW]).succeed();
    assert_eq!(stale(&place, &small_job()), none());
    check_same(&published(&place.job_folder()), &published(three_months()), "as it was");
}

#[test]
fn a_month_whose_snapshot_is_away_leaves_the_later_ones_stale() {
    let place = Place::with(three_months());
    fs::remove_dir_all(place.snapshot("2026-07")).unwrap();
    assert_eq!(stale(&place, &small_job()), ["2026-08", "2026-09"]);
    let file = place.job(&small_job(), NOWHERE);
    on(&file, "report", &["--all"]).without_token().succeed();
    assert_eq!(stale(&place, &small_job()), none());
    let summary = place.report("2026-08", "cohort_summary").rows_by_name();
    assert!(summary.iter().all(|row| row["compared_month"].shown().is_empty()), "{summary:?}");
}
