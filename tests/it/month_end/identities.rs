//! What reports say of each other, in every month and cohort: nothing here looks at the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::fixture::{MONTHS, four_months};
use crate::support::tables::{Cell, Row, Table};

/// The rows of a report in the folder of a month's reports.
fn rows(reports: &Path, report: &str) -> Vec<Row> {
    Table::parquet(&reports.join(format!("{report}.parquet"))).rows_by_name()
}

fn by_cohort(reports: &Path, report: &str) -> BTreeMap<String, Vec<Row>> {
    let mut cohorts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows(reports, report) {
        cohorts.entry(row["cohort_key"].shown()).or_default().push(row);
    }
    cohorts
}

#[track_caller]
fn counted(row: &Row, column: &str) -> i64 {
    match row[column] {
        Cell::Count(count) => count,
        ref other => panic!("`{column}` is {other:?} in {row:?}"),
    }
}

fn ratio(row: &Row, column: &str) -> f64 {
    match row[column] {
        Cell::Ratio(ratio) => ratio,
        ref other => panic!("`{column}` is {other:?} in {row:?}"),
    }
}

/// Those who were always there, by month of entry that is known and by age.
fn unbroken(retention: &[Row]) -> BTreeMap<(String, i64), i64> {
    let known = retention.iter().filter(|row| row["entry_is_censored"] == Cell::Flag(false));
    known.map(|row| ((row["entry_month"].shown(), counted(row, "age_months")), counted(row, "retained_unbroken"))).collect()
}

/// Survival follows from `retention` alone, and those at risk from those before.
pub(crate) fn check_survival(reports: &Path) {
    let month = reports.display();
    let (retention, survival) = (by_cohort(reports, "retention"), by_cohort(reports, "membership_survival"));
    for (cohort, retention) in &retention {
        let unbroken = unbroken(retention);
        let rows = survival.get(cohort).map_or(&[][..], Vec::as_slice);
        // Of each k: at risk, departed.
        let expected: Vec<(i64, i64)> = (1..)
            .map(|k| {
                let pairs = unbroken.iter().filter(|((_, age), _)| *age == k - 1);
                let pairs = pairs.filter_map(|((entry, _), before)| Some((before, unbroken.get(&(entry.clone(), k))?)));
                pairs.fold((0, 0), |(at_risk, departed), (before, after)| (at_risk + before, departed + before - after))
            })
            .take_while(|(at_risk, _)| *at_risk > 0)
            .collect();
        let found: Vec<(i64, i64)> = rows.iter().map(|row| (counted(row, "at_risk"), counted(row, "departed"))).collect();
        assert_eq!(found, expected, "{cohort} in {month}");
        let mut product = 1.0;
        for (k, row) in (1..).zip(rows) {
            assert_eq!(counted(row, "duration_months"), k, "{cohort} in {month}");
            assert_eq!(ratio(row, "hazard"), counted(row, "departed") as f64 / counted(row, "at_risk") as f64);
            product *= 1.0 - ratio(row, "hazard");
            assert!((ratio(row, "survival") - product).abs() < 1e-12, "{row:?}");
        }
        for pair in rows.windows(2) {
            let gone_on = counted(&pair[0], "at_risk") - counted(&pair[0], "departed") - counted(&pair[0], "censored");
            assert_eq!(counted(&pair[1], "at_risk"), gone_on + counted(&pair[1], "resumed"), "{cohort} in {month}: {pair:?}");
        }
        // With one month of entry and no gap, it is that month's retention, and its interval.
        let entries: BTreeSet<&String> = unbroken.iter().filter(|(_, members)| **members > 0).map(|((entry, _), _)| entry).collect();
        let [entry] = entries.into_iter().collect::<Vec<_>>()[..] else { continue };
        for row in rows {
            let is_same = |of: &&Row| of["entry_month"].shown() == *entry && of["age_months"] == row["duration_months"];
            let of_entry = retention.iter().find(is_same).unwrap();
            if of_entry["retained"] == of_entry["retained_unbroken"] {
                for (of_survival, of_retention) in
                    [("survival", "retention_rate"), ("survival_low", "rate_low"), ("survival_high", "rate_high")]
                {
                    assert!((ratio(row, of_survival) - ratio(of_entry, of_retention)).abs() < 1e-12, "{row:?} {of_entry:?}");
                }
            }
        }
    }
    assert!(survival.keys().all(|cohort| retention.contains_key(cohort)), "{month}");
}

/// The curve adds the rows of `retention` up.
pub(crate) fn check_curve(reports: &Path) {
    let month = reports.display();
    let (retention, curve) = (by_cohort(reports, "retention"), by_cohort(reports, "retention_curve"));
    for (cohort, retention) in &retention {
        let mut ages: BTreeMap<i64, [i64; 4]> = BTreeMap::new();
        for row in retention.iter().filter(|row| row["entry_is_censored"] == Cell::Flag(false)) {
            let sums = ages.entry(counted(row, "age_months")).or_default();
            let more = [1, counted(row, "entrants"), counted(row, "retained"), counted(row, "retained_unbroken")];
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        let found = curve.get(cohort).into_iter().flatten().map(|row| {
            let sums = ["entry_months", "entrants", "retained", "retained_unbroken"].map(|column| counted(row, column));
            (counted(row, "age_months"), sums)
        });
        assert_eq!(found.collect::<Vec<_>>(), ages.into_iter().collect::<Vec<_>>(), "{cohort} in {month}");
    }
}

/// Everyone who joined a cohort is in a row to it, everyone who left one in a row from it: by the members report, contact by
/// contact, since one who goes from two to one, or from one to two, is in two rows.
pub(crate) fn check_movement(reports: &Path) {
    let month = reports.display();
    let mut moves: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in rows(reports, "movement") {
        moves.insert((row["from_cohort"].shown(), row["to_cohort"].shown()), counted(&row, "contacts"));
    }
    // Which cohorts a contact has left, joined, stayed in, and is in at all.
    let mut ways: BTreeMap<String, [BTreeSet<String>; 3]> = BTreeMap::new();
    for row in rows(reports, "members") {
        let way = ways.entry(row["contact_id"].shown()).or_default();
        let place = match row["change"].shown().as_str() {
            "departed" => &mut way[0],
            "joined" | "returned" => &mut way[1],
            _ => &mut way[2],
        };
        place.insert(row["cohort_key"].shown());
    }
    let sum =
        |is: &dyn Fn(&str, &str) -> bool| moves.iter().filter(|((from, to), _)| is(from, to)).map(|(_, contacts)| contacts).sum::<i64>();
    for row in rows(reports, "cohort_summary") {
        let key = row["cohort_key"].shown();
        let (Cell::Count(joined), Cell::Count(departed)) = (&row["joined"], &row["departed"]) else { continue };
        // In so many rows more than one a contact is in.
        let more = |of: usize, to: usize| {
            let those = ways.values().filter(|way| way[of].contains(&key));
            those.map(|way| (way[to].len() as i64 - 1).max(0)).sum::<i64>()
        };
        assert_eq!(sum(&|_, to| to == key) - more(1, 0), *joined, "to {key} in {month}");
        assert_eq!(sum(&|from, _| from == key) - more(0, 1), *departed, "from {key} in {month}");
        // Those who stay where they were are distinguished from those who came from nowhere.
        let stays = ways.values().filter(|way| way[1].contains(&key) && way[0].is_empty() && !way[2].is_empty()).count() as i64;
        assert!(sum(&|from, to| to == key && from == "(stayed)") <= stays, "to {key} in {month}");
        let stays = ways.values().filter(|way| way[0].contains(&key) && way[1].is_empty() && !way[2].is_empty()).count() as i64;
        assert_eq!(sum(&|from, to| from == key && to == "(stayed)"), stays, "from {key} in {month}");
    }
}

#[test]
fn survival_the_curve_and_retention_agree_in_every_month() {
    for month in MONTHS {
        check_survival(&four_months().place.reports(month.name));
        check_curve(&four_months().place.reports(month.name));
    }
}

#[test]
fn movement_and_the_flows_agree_in_every_month() {
    for month in MONTHS {
        check_movement(&four_months().place.reports(month.name));
    }
}
