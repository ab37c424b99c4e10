//! Running again: what is published stays, what is better replaces it, what is derived is rebuilt to the same bytes.

use std::fs;

use crate::support::fixture::{self, COHORTS, OPENED_AT_LEAST, PROFILE, four_months, one_month, plain_job};
use crate::support::job::{Job, Place, small_job, texts};
use crate::support::oracle::Oracle;
use crate::support::program::{Finished, cohorts, run};
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::tables::check_rows;
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::truth::{AUGUST, JULY, JUNE, MAY, Month, SEPTEMBER, Truth};

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn a_second_run_says_that_the_month_is_published_and_changes_nothing() {
    let place = Place::with(one_month());
    // The job names its time zone: that the month is published is known without the API, which is not even there.
    let file = place.job(&plain_job(), NOWHERE);
    let mut before = tree(&place.job_folder());
    let second = run(&file, &["--as-of", JULY.as_of]).succeed();
    assert!(second.stdout.contains("2026-07") && second.stdout.contains("published"), "{}", second.stdout);
    let mut after = tree(&place.job_folder());
    after.remove(".lock");
    before.remove(".lock");
    check_same(&before, &after, "a second run");
}

/// One run of September, and what it did to the folder: its snapshot's basis and whether anything changed.
fn check(place: &Place, base_url: &str, as_of: &str, arguments: &[&str], basis: &str, changes: bool) -> Finished {
    let file = place.job(&small_job(), base_url);
    let before = published(&place.job_folder());
    let finished = run(&file, &["--month", "2026-09", "--as-of", as_of]).arguments(arguments).finish();
    let after = published(&place.job_folder());
    assert_eq!(place.manifest("2026-09")["basis"], basis, "as of {as_of} {arguments:?}");
    assert_eq!(before != after, changes, "as of {as_of} {arguments:?}: changed");
    if changes {
        let observed_at = place.manifest("2026-09")["observed_at"].as_str().unwrap().to_string();
        assert!(observed_at.starts_with(as_of.trim_end_matches('Z')), "{observed_at}");
    }
    finished
}

#[test]
fn a_better_basis_replaces_unasked_an_equal_one_when_asked_a_lower_one_never() {
    let place = Place::new();
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let url = simulator.base_url.as_str();
    let succeeds = |finished: Finished| assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let (before_the_end, at_the_end, a_day_later, late) =
        ("2026-09-20T10:00:00Z", "2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z", "2026-10-12T00:00:00Z");

    succeeds(check(&place, url, before_the_end, &[], "preliminary", true));
    succeeds(check(&place, url, "2026-09-21T10:00:00Z", &[], "preliminary", false));
    succeeds(check(&place, url, "2026-09-21T10:00:00Z", &["--replace"], "preliminary", true));
    succeeds(check(&place, url, late, &[], "late", true));
    check(&place, url, before_the_end, &["--replace"], "late", false).check_failure(2, &["2026-09", "late", "preliminary"]);
    succeeds(check(&place, url, at_the_end, &[], "month_end", true));
    succeeds(check(&place, url, late, &[], "month_end", false));
    succeeds(check(&place, url, before_the_end, &[], "month_end", false));
    check(&place, url, late, &["--replace"], "month_end", false).check_failure(2, &["2026-09", "month_end", "late"]);
    succeeds(check(&place, url, a_day_later, &[], "month_end", false));
    succeeds(check(&place, url, a_day_later, &["--replace"], "month_end", true));
}

#[test]
fn what_is_missing_of_a_month_is_rebuilt_by_the_next_run() {
    let place = Place::with(one_month());
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let whole = published(&place.job_folder());
    let again = |what: &str| {
        let finished = run(&file, &["--as-of", JULY.as_of]).succeed();
        assert!(finished.stdout.contains("published"), "{}", finished.stdout);
        check_same(&published(&place.job_folder()), &whole, what);
    };
    fs::remove_dir_all(place.reports("2026-07")).unwrap();
    again("the reports were away");
    fs::remove_file(place.reports("2026-07").join("members.parquet")).unwrap();
    again("one report was away");
    fs::write(place.reports("2026-07").join("overlap.parquet"), b"PAR1").unwrap();
    again("one report was cut short");
    fs::remove_dir_all(place.history("2026-07")).unwrap();
    again("the history was away");
    fs::remove_dir_all(place.job_folder().join("reports")).unwrap();
    fs::remove_dir_all(place.job_folder().join("history")).unwrap();
    again("everything derived was away");
}

#[test]
fn a_rebuild_from_the_snapshots_alone_gives_the_same_bytes_on_any_number_of_threads() {
    let months = four_months();
    let whole = published(&months.job_folder());
    for threads in ["1", "2"] {
        let place = Place::with(&months.job_folder());
        let file = place.job(&fixture::job(), NOWHERE);
        fs::remove_dir_all(place.job_folder().join("reports")).unwrap();
        fs::remove_dir_all(place.job_folder().join("history")).unwrap();
        let report = cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]);
        // No token either: there is nobody to show it to.
        report.without_token().variable("POLARS_MAX_THREADS", threads).succeed();
        check_same(&published(&place.job_folder()), &whole, &format!("rebuilt on {threads} threads"));
    }
}

#[test]
fn report_rebuilds_the_newest_month_or_the_one_that_is_named() {
    let months = four_months();
    let whole = published(&months.job_folder());
    let place = Place::with(&months.job_folder());
    let file = place.job(&fixture::job(), NOWHERE);
    for (arguments, month) in [(vec![], "2026-10"), (vec!["--month", "2026-08"], "2026-08")] {
        for name in ["cohort_summary.csv", "members.parquet"] {
            fs::write(place.reports(month).join(name), "spoiled").unwrap();
        }
        let report = cohorts(["report", "--job"]).arguments(&[file.to_str().unwrap()]).arguments(&arguments);
        report.without_token().succeed();
        check_same(&published(&place.job_folder()), &whole, month);
    }
}

#[test]
fn two_runs_at_one_instant_write_the_same_bytes() {
    let months = four_months();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&fixture::job(), &simulator.base_url);
    run(&file, &["--month", "2026-07", "--as-of", JULY.as_of]).succeed();
    let july = |tree: Tree| -> Tree { tree.into_iter().filter(|(name, _)| name.contains("run_month=2026-07/")).collect() };
    check_same(&july(published(&place.job_folder())), &july(published(&months.job_folder())), "two runs");
}

#[test]
fn how_the_api_is_asked_does_not_show_in_the_tables() {
    let ways = [
        vec!["page_size = 150", "max_concurrency = 1"],
        vec!["page_size = 7"],
        vec!["page_size = 20", "api_version = \"2.5\""],
        vec!["page_size = 20", "api_version = \"2.16\""],
    ];
    let simulator = Simulator::at(JULY.as_of, &[]);
    side_by_side(
        &ways,
        |way| format!("{way:?}"),
        |way| {
            let place = Place::new();
            let mut job = plain_job();
            job.intercom = texts(way);
            run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
            check_same(&tables(published(&place.job_folder())), &tables(published(one_month())), "another way to ask");
        },
    );
}

/// The job of the fixture, without CSV files and pages.
fn tables_only() -> Job {
    Job { sections: Vec::new(), ..fixture::job() }
}

/// Observes a month, and gives the truth about it.
fn observe(place: &Place, month: &Month) -> Truth {
    let simulator = Simulator::at(month.as_of, &[]);
    let file = place.job(&tables_only(), &simulator.base_url);
    run(&file, &["--month", month.name, "--as-of", month.as_of]).succeed();
    Truth::ask(&simulator, month, COHORTS)
}

/// Rebuilds what is out of date after a month was added later, and checks that only these months were.
fn rebuild(place: &Place, stale: &[&str]) {
    let file = place.job(&tables_only(), NOWHERE);
    let reported = cohorts(["status", "--json", "--as-of", SEPTEMBER.as_of, "--job"]).arguments(&[file.to_str().unwrap()]).succeed();
    let reported: serde_json::Value = serde_json::from_str(&reported.stdout).unwrap();
    let is_stale = |month: &&serde_json::Value| month["stale"] == true;
    let found: Vec<&serde_json::Value> =
        reported["months"].as_array().unwrap().iter().filter(is_stale).map(|month| &month["month"]).collect();
    assert_eq!(found, stale);
    cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]).without_token().succeed();
}

/// Every month's comparisons against those worked out from the months as they now are.
#[track_caller]
fn check_histories(place: &Place, truths: &[Truth]) {
    let oracle = Oracle { months: truths, opened_at_least: OPENED_AT_LEAST, profile: PROFILE };
    for truth in truths {
        let (month, what) = (truth.month.as_str(), format!("{} of {} months", truth.month, truths.len()));
        check_rows(&place.report(month, "cohort_summary").keyed(&["cohort_key"]), &oracle.cohort_summary(month), &what);
        check_rows(&place.report(month, "members").keyed(&["cohort_key", "contact_id"]), &oracle.members(month), &what);
    }
}

#[test]
fn history_is_right_around_a_late_and_a_missing_month_and_when_they_are_added_later() {
    let place = Place::new();
    // June comes three weeks late, which is outside H; August does not come at all.
    let late_june = JUNE.observed("2026-07-21T12:00:00Z", "late");
    let mut truths: Vec<Truth> = [MAY, late_june, JULY, SEPTEMBER].iter().map(|month| observe(&place, month)).collect();
    check_histories(&place, &truths);
    let compared = |month: &str| place.report(month, "cohort_summary").rows_by_name()[0]["compared_month"].shown();
    assert_eq!(["2026-05", "2026-06", "2026-07", "2026-09"].map(compared), ["", "", "2026-05-01", "2026-07-01"]);

    // August is added later; September is compared with it once it is rebuilt.
    truths.insert(3, observe(&place, &AUGUST));
    rebuild(&place, &["2026-09"]);
    check_histories(&place, &truths);
    assert_eq!(compared("2026-09"), "2026-08-01");

    // And June, as it would have been in time: all later months change.
    truths[1] = observe(&place, &JUNE);
    rebuild(&place, &["2026-07", "2026-08", "2026-09"]);
    check_histories(&place, &truths);
    assert_eq!(["2026-06", "2026-07"].map(compared), ["2026-05-01", "2026-06-01"]);
    let status = cohorts(["status", "--check", "--as-of", SEPTEMBER.as_of, "--job"]);
    status.arguments(&[place.job(&tables_only(), NOWHERE).to_str().unwrap()]).succeed();
}

#[test]
fn a_run_that_stops_after_its_snapshot_leaves_the_reports_to_the_next_one() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&plain_job(), &simulator.base_url);
    let finished = run(&file, &["--snapshot-only", "--as-of", JULY.as_of]).succeed();
    assert!(finished.stdout.contains("not built yet"), "{}", finished.stdout);
    assert!(!place.reports("2026-07").exists());
    run(&file, &["--as-of", JULY.as_of]).succeed();
    check_same(&tables(published(&place.job_folder())), &tables(published(one_month())), "built by the next run");
}
