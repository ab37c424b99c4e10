//! `--accept-incomplete`: what the work holds is published, and says what it lacks.

use super::*;
use crate::support::http::ClosedPort;
use crate::support::job::texts;
use crate::support::program::Finished;
use crate::support::program::run;
use crate::support::tables::Cell;

/// July, but everyone beyond the third page never came. Then the API is gone.
fn cut_off() -> (Simulator, Place) {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| {
        let is_third = request.stream().as_deref() == Some("population") && request.cursor().is_some();
        is_third.then(|| Reply::text(503, "text/html", "down"))
    });
    let job = plain_job().with_intercom("give_up_after = \"2s\"");
    run(&place.job(&job, &recorder.base_url), &["--as-of", JULY.as_of]).finish().check_failure(5, &["population", "503"]);
    (simulator, place)
}

fn accept(place: &Place, arguments: &[&str]) -> Finished {
    let closed = ClosedPort::new();
    let job = plain_job().with_intercom("give_up_after = \"2s\"");
    run(&place.job(&job, &closed.base_url), &["--as-of", JULY.as_of]).arguments(arguments).finish()
}

#[test]
fn what_the_work_holds_is_published_though_the_api_is_gone() {
    let (simulator, place) = cut_off();
    accept(&place, &[]).check_failure(5, &["/me"]);
    let finished = accept(&place, &["--accept-incomplete"]);
    finished.check_code(0);
    let manifest = place.manifest("2026-07");
    assert_eq!(manifest["incomplete"], serde_json::json!(["population"]), "the groups had come whole: {manifest}");
    assert_eq!(manifest["basis"], "month_end");
    let members = |manifest: &serde_json::Value| -> Vec<u64> {
        manifest["cohorts"].as_array().unwrap().iter().map(|cohort| cohort["members"].as_u64().unwrap()).collect()
    };
    assert_eq!(members(&manifest), members(&crate::support::job::manifest(&one_month().join("snapshots/run_month=2026-07"))));
    let findings = place.report("2026-07", "data_quality").rows_by_name();
    let reported = findings.iter().find(|row| row["severity"].shown() == "error" && row["subject"].shown() == "population");
    let reported = reported.unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(reported["check_name"].shown(), "walk_not_finished");
    assert!(reported["detail"].shown().contains("--accept-incomplete"), "{reported:?}");
    assert!(finished.stdout.contains("incomplete: population"), "{}", finished.stdout);
    // Later runs say so, and a whole one can take its place.
    let file = place.job(&plain_job(), &simulator.base_url);
    let again = run(&file, &["--as-of", JULY.as_of]).succeed();
    assert!(again.stderr.contains("is incomplete (population)") && again.stderr.contains("--replace"), "{}", again.stderr);
    run(&file, &["--as-of", JULY.as_of, "--replace"]).succeed();
    assert_eq!(place.manifest("2026-07")["incomplete"], serde_json::json!([]));
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_published()), "fetched again");
}

#[test]
fn nothing_at_all_is_not_published() {
    let place = Place::new();
    accept(&place, &["--accept-incomplete"]).check_failure(5, &["/me"]);
    assert_eq!(published(&place.job_folder()), Tree::new());
}

#[test]
fn a_cohort_of_which_nothing_came_is_left_out_and_named() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| {
        let is_it = request.stream().as_deref() == Some("tag:1373897") || request.stream().as_deref() == Some("conversations");
        is_it.then(|| Reply::text(503, "text/html", "down"))
    });
    let job = plain_job().with_intercom("give_up_after = \"2s\"");
    let file = place.job(&job, &recorder.base_url);
    run(&file, &["--as-of", JULY.as_of]).finish().check_failure(5, &["503"]);
    run(&file, &["--as-of", JULY.as_of, "--accept-incomplete"]).succeed();
    let manifest = place.manifest("2026-07");
    let mut incomplete: Vec<&str> = manifest["incomplete"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    incomplete.sort_unstable();
    assert_eq!(incomplete, ["conversations", "tag:1373897"]);
    assert!(manifest["cohorts"].as_array().unwrap().iter().all(|cohort| cohort["cohort_key"] != "tag:1373897"), "no member is no number");
    let summary = place.report("2026-07", "cohort_summary").rows_by_name();
    assert!(!summary.is_empty() && summary.iter().all(|row| row["conversations_opened"] == Cell::Null), "not known is not 0");
}

#[test]
fn a_month_that_is_known_to_lack_members_is_compared_with_no_other() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "drop@/contacts/search:1"]);
    let place = Place::with(one_month());
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of, "--accept-incomplete"]).succeed();
    let rows = place.report("2026-08", "cohort_summary").rows_by_name();
    let incomplete = place.manifest("2026-08")["incomplete"].to_string();
    let lacking: Vec<_> = rows.iter().filter(|row| incomplete.contains(&row["cohort_key"].shown())).collect();
    assert!(
        !lacking.is_empty() && lacking.len() < rows.len(),
        "a row that is missing of a small tag is within the tolerance: {incomplete}"
    );
    for row in lacking {
        assert_eq!((&row["departed"], &row["compared_month"]), (&Cell::Null, &Cell::Null), "who lacks did not leave: {row:?}");
        assert_ne!(row["members"], Cell::Null);
    }
    // The next whole month is compared with the last whole one.
    let simulator = Simulator::at(crate::support::truth::SEPTEMBER.as_of, &[]);
    let september = crate::support::truth::SEPTEMBER;
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", september.as_of]).succeed();
    for row in place.report("2026-09", "cohort_summary").rows_by_name() {
        let whole = if incomplete.contains(&row["cohort_key"].shown()) { "2026-07-01" } else { "2026-08-01" };
        assert_eq!(row["compared_month"].shown(), whole, "{row:?}");
        let key = row["cohort_key"].shown();
        let is_reported = place
            .report("2026-09", "data_quality")
            .rows_by_name()
            .iter()
            .any(|finding| finding["check_name"].shown() == "compared_over_a_gap" && finding["subject"].shown() == key);
        assert_eq!(is_reported, whole == "2026-07-01", "{key}");
    }
}

#[test]
fn the_fuller_of_two_walks_is_kept() {
    // Three pages of the first stream, one of the second; then each ends although it does not.
    let simulator = Simulator::at(JULY.as_of, &["--faults-at", "3-4=short@/contacts/search"]);
    let place = Place::new();
    let job = Job { tags: Vec::new(), ..plain_job() };
    let job = job.with_top("population = \"cohorts\"").with_top("conversations = false").with_intercom("max_concurrency = 1");
    let file = place.job(&job, &simulator.base_url);
    run(&file, &["--as-of", JULY.as_of, "--accept-incomplete"]).succeed();
    assert_eq!(place.manifest("2026-07")["cohorts"][0]["members"], 60, "the second stream brought 20");
}

#[test]
fn what_came_whole_is_not_given_up_for_what_did_not() {
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    let simulator = Simulator::at(JULY.as_of, &["--faults", "drop@/contacts/search:1"]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let refused = run(&file, &["--as-of", JULY.as_of, "--replace", "--accept-incomplete"]).finish();
    refused.check_failure(6, &["is complete and its replacement", "segment:63bbdd50aa01c0ffee000001"]);
    check_same(&published(&place.job_folder()), &before, "the month that came whole");
}

#[test]
fn a_month_with_a_hole_is_on_the_monitor_and_its_rules_change_nobody() {
    let simulator = Simulator::at(JULY.as_of, &["--faults", "short@/conversations:1"]);
    let place = Place::new();
    let job = Job { intercom: texts(&["page_size = 5"]), ..plain_job() };
    let rule = "[[rules]]\nname = \"openers\"\nwhere = \"conversations_opened >= 1\"\napply_tag = \"opener\"";
    let file = place.job(&job.with_section(rule), &simulator.base_url);
    let refused = run(&file, &["--as-of", JULY.as_of, "--accept-incomplete", "--apply-tags", "--force-tags"]).finish();
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("incomplete (conversations)"), "{}", refused.stderr);
    assert_eq!(place.manifest("2026-07")["incomplete"], serde_json::json!(["conversations"]));
    assert_eq!(simulator.writes().len(), 0, "nobody was tagged");
    let summary = place.report("2026-07", "cohort_summary").rows_by_name();
    assert!(summary.iter().all(|row| row["cohort_kind"].shown() != "rule"), "nobody knows who is in it");
    assert!(summary.iter().all(|row| row["openers"] == Cell::Null), "part of the conversations is no number");
    let status = crate::support::program::on(&file, "status", &["--check", "--as-of", JULY.as_of]).finish();
    status.check_code(8);
}

#[test]
fn a_group_that_the_job_has_named_since_is_reported_as_missing() {
    let (_simulator, place) = cut_off();
    let closed = ClosedPort::new();
    let job = Job { tags: texts(&["value_lead", "VIP", "churn risk"]), ..plain_job() }.with_intercom("give_up_after = \"2s\"");
    let finished = run(&place.job(&job, &closed.base_url), &["--as-of", JULY.as_of, "--accept-incomplete"]).finish();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stderr.contains("churn risk"), "{}", finished.stderr);
    let findings = place.report("2026-07", "data_quality").rows_by_name();
    assert!(findings.iter().any(|row| row["check_name"].shown() == "group_not_found" && row["subject"].shown() == "tag:churn risk"));
}
