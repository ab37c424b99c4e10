//! The reports about what changes from month to month and what members have in common, against the truth.

use std::collections::BTreeSet;

use super::columns::{REPORTS, Type};
use crate::support::fixture::{MONTHS, four_months};
use crate::support::oracle::{Oracle, Rows};
use crate::support::tables::{Cell, Row, check_rows};

/// Holds a report of every month against the truth; gives all its rows.
fn check_report(name: &str, key: &[&str], expected: fn(&Oracle<'static>, &str) -> Rows) -> Vec<Row> {
    let months = four_months();
    let mut rows = Vec::new();
    for month in MONTHS {
        let found = months.place.report(month.name, name).keyed(key);
        check_rows(&found, &expected(&months.oracle(), month.name), &format!("{name} of {}", month.name));
        rows.extend(found.into_values());
    }
    rows
}

#[test]
fn retention_is_what_the_truth_gives() {
    let rows = check_report("retention", &["cohort_key", "entry_month", "age_months"], Oracle::retention);
    // Otherwise the world would be too calm to show anything.
    assert!(rows.iter().any(|row| row["retained"] != row["retained_unbroken"]), "nobody comes back");
    assert!(rows.iter().any(|row| row["entry_is_censored"] == Cell::Flag(false) && row["retained"] != row["entrants"]), "all stay");
    for row in rows {
        let ends = [&row["rate_low"], &row["retention_rate"], &row["rate_high"]];
        assert!(is_ascending(&ends), "{row:?}");
    }
}

#[test]
fn the_retention_curve_is_what_the_truth_gives() {
    let rows = check_report("retention_curve", &["cohort_key", "age_months"], Oracle::retention_curve);
    assert!(rows.iter().any(|row| matches!(row["entry_months"], Cell::Count(months) if months > 1)));
    for row in rows {
        let ends = [&row["rate_low"], &row["retention_rate"], &row["rate_high"]];
        assert!(is_ascending(&ends), "{row:?}");
    }
}

#[test]
fn retention_change_is_what_the_truth_gives() {
    let rows = check_report("retention_change", &["cohort_key"], Oracle::retention_change);
    assert!(rows.iter().any(|row| row["recent_departed"] != Cell::Count(0)));
    for row in rows {
        let ends = [&row["ratio_low"], &row["hazard_ratio"], &row["ratio_high"]];
        assert!(is_ascending(&ends), "{row:?}");
        check_p_and_q(&row, "p_value", "q_value");
    }
}

#[test]
fn membership_survival_is_what_the_truth_gives() {
    let rows = check_report("membership_survival", &["cohort_key", "duration_months"], Oracle::membership_survival);
    assert!(rows.iter().any(|row| row["departed"] != Cell::Count(0)) && rows.iter().any(|row| row["censored"] != Cell::Count(0)));
    for row in rows {
        let ends = [&row["survival_low"], &row["survival"], &row["survival_high"]];
        assert!(is_ascending(&ends), "{row:?}");
    }
}

#[test]
fn movement_is_what_the_truth_gives() {
    let rows = check_report("movement", &["from_cohort", "to_cohort"], Oracle::movement);
    let places = |name: &str| rows.iter().map(|row| row[name].shown()).collect::<BTreeSet<_>>();
    let all = |places: [&str; 3]| places.map(str::to_string).into();
    assert!(places("from_cohort").is_superset(&all(["(new)", "(none)", "(stayed)"])), "{:?}", places("from_cohort"));
    assert!(places("to_cohort").is_superset(&all(["(gone)", "(none)", "(stayed)"])), "{:?}", places("to_cohort"));
    let is_cohort = |place: &Cell| !place.shown().starts_with('(');
    assert!(rows.iter().any(|row| is_cohort(&row["from_cohort"]) && is_cohort(&row["to_cohort"])), "nobody goes from one to the other");
}

#[test]
fn attribute_profile_is_what_the_truth_gives() {
    let rows = check_report("attribute_profile", &["cohort_key", "attribute", "value"], Oracle::attribute_profile);
    for row in rows {
        for [low, ratio, high] in [["odds_low", "odds_ratio", "odds_high"], ["lift_low", "lift", "lift_high"]] {
            // A ratio of 0 has no interval.
            assert!(row[ratio] == Cell::Ratio(0.0) || is_ascending(&[&row[low], &row[ratio], &row[high]]), "{row:?}");
        }
        check_p_and_q(&row, "p_value", "q_value");
    }
}

#[test]
fn numeric_profile_is_what_the_truth_gives() {
    let rows = check_report("numeric_profile", &["cohort_key", "attribute"], Oracle::numeric_profile);
    assert!(rows.iter().any(|row| row["attribute"].shown() == "custom_attributes.seats" && row["cliffs_delta"] != Cell::Null));
    for row in rows {
        assert!(row["delta_low"] == Cell::Null || is_ascending(&[&row["delta_low"], &row["cliffs_delta"], &row["delta_high"]]), "{row:?}");
        check_p_and_q(&row, "p_value", "q_value");
    }
}

#[test]
fn cohort_trends_are_what_the_truth_gives() {
    let rows = check_report("cohort_trends", &["cohort_key", "metric"], Oracle::cohort_trends);
    assert!(rows.iter().any(|row| matches!(row["moving_average_3"], Cell::Ratio(_))));
    for row in rows {
        check_p_and_q(&row, "trend_p", "trend_q");
        // Four months are too few for a direction, for the interval of what is expected and for an anomaly.
        assert_eq!((&row["direction"], &row["is_anomaly"]), (&Cell::Null, &Cell::Flag(false)), "{row:?}");
        assert!(["expected_low", "expected_high", "anomaly_p", "anomaly_q"].iter().all(|name| row[*name] == Cell::Null), "{row:?}");
    }
}

#[test]
fn no_number_of_any_report_is_infinite_or_none() {
    let months = four_months();
    for month in MONTHS {
        for (name, columns) in REPORTS {
            let table = months.place.report(month.name, name);
            for (index, (column, _)) in columns.iter().enumerate().filter(|(_, (_, kind))| *kind == Type::Ratio) {
                let is_number = |cell: &Cell| !matches!(cell, Cell::Ratio(ratio) if !ratio.is_finite());
                assert!(table.rows.iter().all(|row| is_number(&row[index])), "{name}.{column} of {}", month.name);
            }
        }
    }
}

/// Whether all are null or none is, and none is less than the one before.
fn is_ascending(cells: &[&Cell]) -> bool {
    let ratios: Vec<f64> = cells.iter().filter_map(|cell| if let Cell::Ratio(ratio) = cell { Some(*ratio) } else { None }).collect();
    ratios.is_empty() || (ratios.len() == cells.len() && ratios.is_sorted())
}

#[track_caller]
fn check_p_and_q(row: &Row, p: &str, q: &str) {
    match (&row[p], &row[q]) {
        (Cell::Null, Cell::Null) => {}
        (Cell::Ratio(p), Cell::Ratio(q)) => assert!(0.0 <= *p && p <= q && *q <= 1.0, "{row:?}"),
        _ => panic!("{row:?}"),
    }
}
