//! Groups whose definition changed: a segment that was edited, and one that was deleted and made again.

use crate::support::fixture::plain_job;
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Finished, run};
use crate::support::simulator::Simulator;
use crate::support::tables::{Row, text};
use crate::support::truth::{AUGUST, JULY, JUNE, Month, SEPTEMBER};

const BIG_TEAMS: &str = "segment:682469a0aa01c0ffee000008";

fn month(place: &Place, segment: &str, of: &Month) -> Finished {
    let simulator = Simulator::at(of.as_of, &["--contacts", "600"]);
    let job = Job { tags: Vec::new(), segments: texts(&[segment]), ..plain_job() };
    let job = job.with_section("[output]\nformats = [\"parquet\", \"html\"]");
    run(&place.job(&job, &simulator.base_url), &["--as-of", of.as_of]).succeed()
}

fn findings(place: &Place, of: &Month, check_name: &str) -> Vec<Row> {
    let rows = place.report(of.name, "data_quality").rows_by_name();
    rows.into_iter().filter(|row| row["check_name"] == text(check_name)).collect()
}

#[test]
fn a_segment_that_was_edited_says_so_where_it_is_compared() {
    let place = Place::new();
    for of in [&JULY, &AUGUST, &SEPTEMBER] {
        month(&place, "Big teams", of);
    }
    for (of, updated_at) in [(&JULY, "2025-05-"), (&SEPTEMBER, "2026-09-12T10:00:00Z")] {
        let cohort = &place.manifest(of.name)["cohorts"][0];
        assert!(cohort["updated_at"].as_str().unwrap().starts_with(updated_at), "{cohort}");
        assert!(cohort["created_at"].as_str().unwrap().starts_with("2025-05-"), "{cohort}");
    }
    assert_eq!(findings(&place, &AUGUST, "definition_may_have_changed").len(), 0);
    let found = findings(&place, &SEPTEMBER, "definition_may_have_changed");
    assert_eq!(found.len(), 1);
    // With so few months, nothing is expected of its size.
    assert_eq!((&found[0]["severity"], &found[0]["subject"]), (&text("info"), &text(BIG_TEAMS)));
    assert_eq!(found[0]["value"], text("2026-09-12T10:00:00Z"));
    let page = std::fs::read_to_string(place.reports(SEPTEMBER.name).join("report.html")).unwrap();
    assert!(page.contains("The group was changed on 2026-09-12: its filter may have been edited."));
    assert!(page.contains("the group was changed"), "the chart marks the month");
    let before = std::fs::read_to_string(place.reports(AUGUST.name).join("report.html")).unwrap();
    assert!(!before.contains("was changed"));
}

#[test]
fn another_segment_of_the_same_name_is_said_to_be_another() {
    let place = Place::new();
    month(&place, "Power users", &JUNE);
    let july = month(&place, "Power users", &JULY);
    assert!(july.stderr.contains("is another segment of the same name"), "{}", july.stderr);
    let found = findings(&place, &JULY, "group_replaced");
    assert_eq!(
        (&found[0]["subject"], &found[0]["expected"]),
        (&text("segment:6a5de390aa01c0ffee00000a"), &text("67a0d2e8aa01c0ffee000009"))
    );
    // The new one has no history.
    let summary = place.report(JULY.name, "cohort_summary").rows_by_name();
    assert_eq!(summary[0]["previous_members"], crate::support::tables::Cell::Null);
    month(&place, "Power users", &AUGUST);
    assert_eq!(findings(&place, &AUGUST, "group_replaced").len(), 0);
}
