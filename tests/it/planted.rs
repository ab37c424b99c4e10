//! What the world of a demo was made with (see the top of `src/simulator/world.rs`) is found in its reports: not a hint
//! of it, but by the very columns that an analyst would filter by.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use crate::month_end::{check_curve, check_movement, check_survival};
use crate::support::job::Place;
use crate::support::program::cohorts;
use crate::support::tables::{Cell, Row, Table};

/// Fourteen months are the fewest of which the odd one is the thirteenth, so that it can be recognised. Of 2,000 contacts,
/// the fewest for which the world promises anything, VIP loses so few a month that chance could do it.
fn reports() -> &'static PathBuf {
    static DEMO: LazyLock<PathBuf> = LazyLock::new(|| {
        let out = Place::kept("planted").output();
        let demo = ["demo", "--months", "14", "--contacts", "3000", "-q", "--out", out.to_str().unwrap()];
        cohorts(demo).without_token().with_limit(Duration::from_secs(600)).succeed();
        out.join("demo/reports")
    });
    &DEMO
}

/// The rows of a report that have these texts in these columns.
fn rows(month: &str, report: &str, wanted: &[(&str, &str)]) -> Vec<Row> {
    let table = Table::parquet(&reports().join(format!("run_month={month}/{report}.parquet")));
    let is_wanted = |row: &Row| wanted.iter().all(|(column, text)| row[*column].shown() == *text);
    table.rows_by_name().into_iter().filter(is_wanted).collect()
}

#[track_caller]
fn one(month: &str, report: &str, wanted: &[(&str, &str)]) -> Row {
    let mut rows = rows(month, report, wanted);
    assert_eq!(rows.len(), 1, "{report} of {month}, {wanted:?}");
    rows.remove(0)
}

#[track_caller]
fn ratio(row: &Row, column: &str) -> f64 {
    match row[column] {
        Cell::Ratio(ratio) => ratio,
        ref other => panic!("`{column}` is {other:?} in {row:?}"),
    }
}

#[test]
fn reports_agree_with_each_other_in_every_month() {
    let months: Vec<PathBuf> = fs::read_dir(reports()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(months.len(), 14);
    for month in months {
        [check_survival, check_curve, check_movement].iter().for_each(|check| check(&month));
    }
}

#[test]
fn who_is_at_risk_is_on_the_free_plan_and_in_brazil() {
    for (attribute, value) in [("custom_attributes.plan", "free"), ("country", "Brazil")] {
        for month in ["2026-08", "2026-10"] {
            let row = one(month, "attribute_profile", &[("cohort_name", "churn risk"), ("attribute", attribute), ("value", value)]);
            assert!(ratio(&row, "lift") > 2.0, "{row:?}");
            assert!(ratio(&row, "lift_low") > 1.5 && ratio(&row, "odds_low") > 1.0, "{row:?}");
            assert!(ratio(&row, "q_value") < 0.05, "{row:?}");
        }
        // Nothing else of the attribute is as frequent among them, compared with the others.
        let all = rows("2026-10", "attribute_profile", &[("cohort_name", "churn risk"), ("attribute", attribute)]);
        let most = all.iter().filter(|row| matches!(row["q_value"], Cell::Ratio(q) if q < 0.05) && ratio(row, "odds_ratio") > 1.0);
        assert_eq!(most.map(|row| row["value"].shown()).collect::<Vec<_>>(), [value]);
    }
}

#[test]
fn a_segment_that_dies_out_falls_and_nobody_joins_it() {
    let row = one("2026-10", "cohort_trends", &[("cohort_name", "Trial users"), ("metric", "members")]);
    assert_eq!((row["direction"].shown(), row["trend_test"].shown()), ("falling".to_string(), "signed_rank".to_string()));
    assert!(ratio(&row, "trend_q") < 0.05, "{row:?}");
    assert!(ratio(&row, "slope_per_month") < 0.0 && ratio(&row, "change") < 0.0, "{row:?}");
    assert!(ratio(&row, "value") < ratio(&row, "year_ago_value"), "{row:?}");
    let summary = one("2026-10", "cohort_summary", &[("cohort_name", "Trial users")]);
    assert_eq!(summary["joined"], Cell::Count(0), "{summary:?}");
    // Nobody has entered since the first month, which nobody is known to have entered in: nobody is followed.
    assert!(rows("2026-10", "membership_survival", &[("cohort_name", "Trial users")]).is_empty());
    let retention = rows("2026-10", "retention", &[("cohort_name", "Trial users")]);
    let of_the_first: Vec<&Row> = retention.iter().filter(|row| row["entry_is_censored"] == Cell::Flag(true)).collect();
    assert_eq!(of_the_first.len(), 14, "an age a month");
    assert!(of_the_first.is_sorted_by(|before, after| ratio(before, "retention_rate") >= ratio(after, "retention_rate")));
}

#[test]
fn a_tag_that_is_given_to_nobody_new_falls_and_one_that_spreads_rises() {
    for (cohort, direction) in [("VIP", "falling"), ("beta tester", "rising")] {
        let row = one("2026-10", "cohort_trends", &[("cohort_name", cohort), ("metric", "members")]);
        assert_eq!(row["direction"].shown(), direction, "{row:?}");
        assert!(ratio(&row, "trend_q") < 0.05, "{row:?}");
    }
}

#[test]
fn the_odd_month_is_odd() {
    for metric in ["conversations_opened", "openers"] {
        let wanted = [("cohort_name", "Active"), ("metric", metric)];
        let odd = one("2026-09", "cohort_trends", &wanted);
        assert_eq!(odd["is_anomaly"], Cell::Flag(true), "{odd:?}");
        assert!(ratio(&odd, "anomaly_q") < 0.05 && ratio(&odd, "value") > ratio(&odd, "expected_high"), "{odd:?}");
        assert!(ratio(&odd, "value") > 3.0 * ratio(&odd, "previous_value"), "{odd:?}");
        // Back to what it was, which is not unusual any more.
        let after = one("2026-10", "cohort_trends", &wanted);
        assert_eq!(after["is_anomaly"], Cell::Flag(false), "{after:?}");
        assert!(ratio(&after, "expected_low") < ratio(&after, "value") && ratio(&after, "value") < ratio(&after, "expected_high"));
        // The months before are too few to judge, and say so.
        let before = one("2026-08", "cohort_trends", &wanted);
        assert_eq!(
            (&before["is_anomaly"], &before["anomaly_p"], &before["history_months"]),
            (&Cell::Flag(false), &Cell::Null, &Cell::Count(12))
        );
    }
    // The size of the segment is not odd.
    let size = one("2026-09", "cohort_trends", &[("cohort_name", "Active"), ("metric", "members")]);
    assert_eq!(size["is_anomaly"], Cell::Flag(false), "{size:?}");
}

#[test]
fn whoever_carries_value_lead_opens_more() {
    // Of those who are active, over all months: of a single month chance says more than the tag.
    let months: Vec<PathBuf> = fs::read_dir(reports()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let openers_of_active = |cohort: &str| {
        let summaries = months.iter().flat_map(|month| Table::parquet(&month.join("cohort_summary.parquet")).rows_by_name());
        let rows: Vec<Row> = summaries.filter(|row| row["cohort_name"].shown() == cohort).collect();
        let sum = |column: &str| rows.iter().map(|row| row[column].shown().parse::<f64>().unwrap()).sum::<f64>();
        sum("openers") / sum("active_members")
    };
    assert!(openers_of_active("value_lead") > 1.5 * openers_of_active("Active"));
}
