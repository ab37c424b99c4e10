use polars::prelude::df;

use super::*;

fn day(month: &str) -> NaiveDate {
    month.parse::<Month>().unwrap().first_day()
}

/// One cohort over these months, the last of which is this month.
fn tables(months: &[(&str, i64)], basis: &str, departed: Option<i64>, growth_rate: Option<f64>) -> Tables {
    let (last, members) = *months.last().unwrap();
    let before = months.iter().rev().nth(1).map(|(month, _)| day(month));
    let previous = months.iter().rev().nth(1).map(|(_, members)| *members);
    let joined = departed.zip(previous).map(|(departed, previous)| members - previous + departed);
    let mut tables = Tables::default();
    tables.add(
        "counts",
        df![
            "cohort_key" => vec!["tag:1"; months.len()],
            "month" => months.iter().map(|(month, _)| day(month)).collect::<Vec<_>>(),
            "in_history" => vec![true; months.len()],
            "members" => months.iter().map(|(_, members)| *members).collect::<Vec<_>>(),
        ]
        .unwrap(),
    );
    tables.add(
        "cohort_summary",
        df![
            "month" => [day(last)],
            "cohort_key" => ["tag:1"],
            "cohort_name" => ["VIP\n\u{1b}[1m"],
            "cohort_kind" => ["tag"],
            "basis" => [basis],
            "members" => [members],
            "compared_month" => [before],
            "previous_members" => [previous],
            "joined" => [joined],
            "departed" => [departed],
            "openers" => [Some(3_i64)],
            "unsubscribed" => [Some(4_i64)],
            "growth_rate" => [growth_rate],
            "churn_rate" => [Some(0.1)],
        ]
        .unwrap(),
    );
    tables.add("cohort_trends", trends(&[]));
    tables.add(
        "attribute_profile",
        df![
            "cohort_key" => ["tag:1", "tag:1"],
            "cohort_name" => ["VIP", "VIP"],
            "attribute" => ["custom_attributes.plan", "custom_attributes.plan"],
            "value" => ["gold", "tin"],
            "members" => [60_i64, 40],
            "others" => [100_i64, 900],
            "q_value" => [0.001, 0.001],
        ]
        .unwrap(),
    );
    tables
}

/// Metric, value, value before, slope, q, direction, z, whether odd, cohort.
type Trend = (&'static str, f64, f64, f64, f64, &'static str, f64, bool, &'static str);

fn trends(rows: &[Trend]) -> DataFrame {
    df![
        "cohort_key" => rows.iter().map(|row| row.8).collect::<Vec<_>>(),
        "cohort_name" => rows.iter().map(|row| if row.8 == "tag:1" { "VIP" } else { "Active" }).collect::<Vec<_>>(),
        "change" => rows.iter().map(|row| row.1 - row.2).collect::<Vec<_>>(),
        "metric" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "previous_value" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        "slope_per_month" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        "trend_q" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
        "direction" => rows.iter().map(|row| row.5).collect::<Vec<_>>(),
        "robust_z" => rows.iter().map(|row| row.6).collect::<Vec<_>>(),
        "is_anomaly" => rows.iter().map(|row| row.7).collect::<Vec<_>>(),
    ]
    .unwrap()
}

#[test]
fn a_cohort_has_a_sentence_and_a_series() {
    let tables = tables(&[("2026-07", 100), ("2026-08", 90), ("2026-10", 80)], "month_end", Some(15), Some(-1.0 / 9.0));
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    let [vip] = &digest.cohorts[..] else { panic!("{digest:?}") };
    assert_eq!(vip.name, "VIP  [1m", "control characters are taken out");
    assert_eq!(vip.sentence, "VIP  [1m lost 15 of 90 members (16.7 %) and gained 5 since 2026-08: 80 members now.");
    assert_eq!(vip.series[8..], [Some(100), Some(90), None, Some(80)]);
    assert_eq!(vip.series[..8], [None; 8]);
    assert_eq!(sparkline(&vip.series), "█▄·▁");
}

#[test]
fn a_streak_is_of_months_in_a_row() {
    let months = [("2026-06", 60), ("2026-07", 100), ("2026-08", 90), ("2026-09", 85), ("2026-10", 80)];
    let digest = Digest::of("2026-10".parse().unwrap(), &tables(&months, "month_end", Some(5), Some(-5.0 / 85.0))).unwrap();
    assert!(digest.cohorts[0].sentence.ends_with("80 members now, its third falling month in a row."), "{digest:?}");
}

#[test]
fn what_stands_out_is_told_in_words() {
    let mut tables = tables(&[("2026-09", 100), ("2026-10", 80)], "month_end", Some(25), Some(-0.2));
    tables.add(
        "cohort_trends",
        trends(&[
            ("members", 80.0, 100.0, -12.4, 0.01, "falling", -9.0, true, "tag:1"),
            ("openers", 8.0, 40.0, -1.0, 0.9, "flat", -7.0, true, "tag:1"),
            ("churn_rate", 0.25, 0.05, 0.021, 0.04, "rising", 3.0, false, "tag:1"),
            ("users", 80.0, 100.0, -12.4, 0.01, "falling", 0.0, false, "tag:1"),
            ("opener_rate", 0.2, 0.2, 0.001, 0.4, "flat", 0.0, false, "tag:1"),
            // One of each cohort.
            ("openers", 12.0, 53.0, -1.0, 0.9, "flat", -8.2, true, "tag:2"),
            ("opener_rate", 0.1, 0.47, -0.01, 0.9, "flat", -7.3, true, "tag:2"),
            // A trend that this month goes against.
            ("unsubscribed_rate", 0.042, 0.1, 0.011, 0.001, "rising", -2.0, false, "tag:2"),
        ]),
    );
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    assert_eq!(
        digest.notable,
        [
            "VIP  [1m shrank by 20.0 %, from 100 members to 80.",
            "Active: openers went from 53 to 12, far from its usual changes.",
            "VIP: openers went from 40 to 8, far from its usual changes.",
            "VIP: members falling over the last twelve months, by about 12 a month.",
            "VIP: plan is gold for 60 of its 100 members (60.0 %), 6.0 times as often as for others (10.0 %).",
        ]
    );
}

#[test]
fn small_changes_are_not_told() {
    let few = tables(&[("2026-09", 10), ("2026-10", 5)], "month_end", Some(5), Some(-0.5));
    let little = tables(&[("2026-09", 1_000), ("2026-10", 950)], "month_end", Some(50), Some(-0.05));
    for tables in [few, little] {
        let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
        assert!(!digest.notable.iter().any(|sentence| sentence.contains("shrank")), "{digest:?}");
    }
}
