use polars::prelude::df;

use super::*;

fn day(month: &str) -> NaiveDate {
    month.parse::<Month>().unwrap().first_day()
}

fn sentences(digest: &Digest) -> Vec<&str> {
    digest.notable.iter().map(|notable| notable.sentence.as_str()).collect()
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
            "definition_updated_at" => vec![None::<chrono::NaiveDateTime>; months.len()],
        ]
        .unwrap(),
    );
    tables.add("unsubscribes", crate::analysis::Report::named("unsubscribes").unwrap().table.empty());
    tables.add("opt_outs", crate::history::OPT_OUTS.empty());
    tables.add("followed", crate::steps::FOLLOWED.empty());
    tables.add("data_quality", crate::analysis::Report::named("data_quality").unwrap().table.empty());
    let observed_at = day(last).and_hms_opt(12, 0, 0).unwrap();
    tables.add(
        "cohort_summary",
        df![
            "month" => [day(last)],
            "observed_at" => [observed_at],
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
    tables.add("attribute_profile", profile(members));
    tables.add("numeric_profile", numbers().head(Some(0)));
    tables.add("retention_change", change(0.05));
    tables
}

/// A profile of one cohort. `known` is the number of members whose value is known.
fn profile(known: i64) -> DataFrame {
    df![
        "cohort_key" => ["tag:1", "tag:1"],
        "cohort_name" => ["VIP", "VIP"],
        "attribute" => ["custom_attributes.plan", "custom_attributes.plan"],
        "value" => ["gold", "tin"],
        "members" => [48_i64, 32],
        "members_known" => [known, known],
        "member_share" => [0.6, 0.4],
        "previous_share" => [Some(0.5), None],
        "others" => [100_i64, 900],
        "others_known" => [1_000_i64, 1_000],
        "other_share" => [0.1, 0.9],
        "lift" => [6.0, 0.44],
        "lift_low" => [4.5, 0.3],
        "lift_high" => [8.0, 0.6],
        "q_value" => [0.001, 0.001],
    ]
    .unwrap()
}

fn numbers() -> DataFrame {
    df![
        "cohort_key" => ["tag:1"; 4],
        "cohort_name" => ["VIP"; 4],
        "attribute" => ["custom_attributes.seats", "custom_attributes.stars", "custom_attributes.logins", "custom_attributes.few"],
        "members" => [80_i64, 80, 80, 4],
        "median" => [20.0, 3.0, 7.25, 1.0],
        "others_median" => [5.0, 3.0, 7.0, 0.0],
        "cliffs_delta" => [-0.41, 0.2, 0.14, 0.9],
        "delta_low" => [-0.5, 0.15, 0.1, 0.8],
        "delta_high" => [-0.3, 0.25, 0.2, 1.0],
        "q_value" => [0.001, 0.001, 0.001, 0.001],
    ]
    .unwrap()
}

fn change(q_value: f64) -> DataFrame {
    df![
        "cohort_key" => ["tag:1"],
        "cohort_name" => ["VIP"],
        "recent_departed" => [28_i64],
        "recent_expected" => [46.7],
        "hazard_ratio" => [0.587],
        "q_value" => [q_value],
    ]
    .unwrap()
}

/// The fields are: metric, value, change, slope, q, direction, expected range, whether odd, cohort.
type Trend = (&'static str, f64, f64, f64, f64, &'static str, (f64, f64), bool, &'static str);

fn trends(rows: &[Trend]) -> DataFrame {
    df![
        "cohort_key" => rows.iter().map(|row| row.8).collect::<Vec<_>>(),
        "cohort_name" => rows.iter().map(|row| if row.8 == "tag:1" { "VIP" } else { "Active" }).collect::<Vec<_>>(),
        "metric" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "change" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        "slope_per_month" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        "trend_q" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
        "direction" => rows.iter().map(|row| row.5).collect::<Vec<_>>(),
        "expected" => rows.iter().map(|row| f64::midpoint(row.6.0, row.6.1)).collect::<Vec<_>>(),
        "expected_low" => rows.iter().map(|row| row.6.0).collect::<Vec<_>>(),
        "expected_high" => rows.iter().map(|row| row.6.1).collect::<Vec<_>>(),
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
fn a_streak_counts_consecutive_months() {
    let months = [("2026-06", 60), ("2026-07", 100), ("2026-08", 90), ("2026-09", 85), ("2026-10", 80)];
    let digest = Digest::of("2026-10".parse().unwrap(), &tables(&months, "month_end", Some(5), Some(-5.0 / 85.0))).unwrap();
    assert!(digest.cohorts[0].sentence.ends_with("80 members now, its third falling month in a row."), "{digest:?}");
}

#[test]
fn what_stands_out_is_put_into_words() {
    let mut tables = tables(&[("2026-09", 100), ("2026-10", 80)], "month_end", Some(25), Some(-0.2));
    tables.add(
        "cohort_trends",
        trends(&[
            ("members", 80.0, -20.0, -12.4, 0.01, "falling", (95.0, 105.0), true, "tag:1"),
            ("openers", 8.0, -32.0, -1.0, 0.9, "flat", (31.0, 49.0), true, "tag:1"),
            ("churn_rate", 0.25, 0.2, 0.021, 0.04, "rising", (0.02, 0.3), false, "tag:1"),
            ("users", 80.0, -20.0, -12.4, 0.01, "falling", (0.0, 100.0), false, "tag:1"),
            ("opener_rate", 0.2, 0.0, 0.001, 0.4, "flat", (0.0, 1.0), false, "tag:1"),
            // Each cohort has only one sentence: for the value that is farthest off.
            ("opener_rate", 0.1, -0.37, -0.01, 0.9, "flat", (0.4, 0.6), true, "tag:2"),
            ("openers", 424.0, 324.0, 1.0, 0.9, "flat", (60.2, 129.7), true, "tag:2"),
            // This month goes against the trend, so the trend is not mentioned.
            ("unsubscribed_rate", 0.042, -0.06, 0.011, 0.001, "rising", (0.0, 1.0), false, "tag:2"),
        ]),
    );
    tables.add("numeric_profile", numbers());
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    assert_eq!(
        sentences(&digest),
        [
            "VIP  [1m shrank by 20.0 %, from 100 members to 80.",
            "Active: 424 opened a conversation, 60 to 130 were expected.",
            "VIP: 8 opened a conversation, 31 to 49 were expected.",
            "VIP: members falling over the last two months, by about 12 a month.",
            "VIP: plan is gold for 48 of its 80 members (60.0 %, before 50.0 %), 6.0 times as often as for others of the same role (10.0 % of all others).",
            "VIP: seats is mostly lower than for others (median 20, of others 5; Cliff's delta -0.41).",
        ]
    );
    let facts = |notable: &Notable| (notable.kind, notable.metric.clone(), notable.value, notable.expected);
    let found: Vec<_> = digest.headlines().into_iter().map(facts).collect();
    let expected = [
        (NotableKind::LargeChange, "members", Some(80.0), Some(100.0)),
        (NotableKind::Unexpected, "openers", Some(424.0), Some((60.2 + 129.7) / 2.0)),
        (NotableKind::Trend, "members", Some(-12.4), None),
        (NotableKind::InCommon, "custom_attributes.plan", Some(0.6), Some(0.1)),
        (NotableKind::NumberApart, "custom_attributes.seats", Some(20.0), Some(5.0)),
    ];
    // There are six sentences, but only five headlines. The second `Unexpected` is left out: the first of every kind comes before it.
    assert_eq!(found, expected.map(|(kind, metric, value, expected)| (kind, metric.to_string(), value, expected)));
    let json = serde_json::to_value(&digest.notable[4]).unwrap();
    assert_eq!((&json["kind"], &json["attribute_value"]), (&"in_common".into(), &"gold".into()), "{json}");
    // Members whose plan is unknown are not mentioned.
    tables.add("attribute_profile", profile(70));
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    assert!(
        digest.notable[4].sentence.starts_with("VIP: plan is gold for 48 of 70 members whose plan is known (60.0 %, before 50.0 %), "),
        "{digest:?}"
    );
}

#[test]
fn a_trend_says_how_many_months_it_covers() {
    let of = |months: &[&str], metric: &'static str| {
        let members: Vec<(&str, i64)> = months.iter().zip(100..).map(|(month, members)| (*month, members)).collect();
        let mut tables = tables(&members, "month_end", Some(0), Some(0.01));
        tables.add("cohort_trends", trends(&[(metric, 0.3, 0.001, 0.0004, 0.01, "rising", (0.0, 1.0), false, "tag:1")]));
        Digest::of("2026-10".parse().unwrap(), &tables).unwrap().notable.remove(0).sentence
    };
    let nine = ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"];
    assert_eq!(of(&nine, "active_rate"), "VIP: active rate rising over the last nine months, by about 0.04 pp a month.");
    // The first month has no churn.
    assert_eq!(of(&nine, "churn_rate"), "VIP: churn rate rising over the last eight months, by about 0.04 pp a month.");
    let year = ["2025-09", "2025-10", "2025-11", "2025-12", "2026-01"];
    assert!(of(&[&year[..], &nine].concat(), "active_rate").contains(" over the last twelve months, "));
    // The month after a gap has no churn, either.
    let gap = [&nine[..3], &nine[5..]].concat();
    assert!(of(&gap, "active_rate").contains(" over seven of the last nine months, "));
    assert!(of(&gap, "churn_rate").contains(" over five of the last eight months, "));
}

#[test]
fn newer_entrants_who_stay_longer_are_mentioned() {
    let months = [("2026-04", 80), ("2026-05", 80), ("2026-07", 80), ("2026-08", 80), ("2026-09", 80), ("2026-10", 80)];
    let mut tables = tables(&months, "month_end", Some(5), Some(0.0));
    tables.add("attribute_profile", profile(80).head(Some(0)));
    assert!(Digest::of("2026-10".parse().unwrap(), &tables).unwrap().notable.is_empty());
    tables.add("retention_change", change(0.049));
    // Entrants of July may have entered in June, which is missing.
    assert_eq!(
        sentences(&Digest::of("2026-10".parse().unwrap(), &tables).unwrap()),
        ["VIP: newer entrants stay longer: of those who entered from 2026-08 to 2026-09, 28 departed, where 47 were expected from \
             earlier entrants of the same age (hazard ratio 0.59)."]
    );
}

#[test]
fn small_changes_are_not_mentioned() {
    let few = tables(&[("2026-09", 10), ("2026-10", 5)], "month_end", Some(5), Some(-0.5));
    let little = tables(&[("2026-09", 1_000), ("2026-10", 950)], "month_end", Some(50), Some(-0.05));
    for tables in [few, little] {
        let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
        assert!(!digest.notable.iter().any(|notable| notable.sentence.contains("shrank")), "{digest:?}");
    }
}

#[test]
fn a_group_that_was_changed_says_so_in_its_sentences() {
    let mut tables = tables(&[("2026-09", 100), ("2026-10", 250)], "month_end", Some(0), Some(1.5));
    let mut changed = df![
        "cohort_key" => ["tag:1", "tag:1"],
        "month" => [day("2026-09"), day("2026-10")],
        "in_history" => [true, true],
        "members" => [100_i64, 250],
    ]
    .unwrap();
    let instants = ["2026-01-02T03:04:05Z", "2026-10-12T10:00:00Z"].map(|at| at.parse::<DateTime<Utc>>().ok());
    changed.with_column(archive::table::instants("definition_updated_at", instants.into_iter())).unwrap();
    tables.add("counts", changed);
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    assert!(digest.cohorts[0].sentence.ends_with(" The group was changed on 2026-10-12: its filter may have been edited."));
    assert!(
        digest.notable[0].sentence.ends_with("; the group was changed on 2026-10-12, its filter may have been edited."),
        "{:?}",
        digest.notable
    );
}

#[test]
fn a_subscription_that_many_members_left_is_mentioned() {
    let mut tables = tables(&[("2026-09", 200), ("2026-10", 200)], "month_end", Some(0), Some(0.0));
    tables.add("attribute_profile", profile(200).head(Some(0)));
    let left = |newly: [i64; 4]| {
        df![
            "cohort_key" => ["tag:1"; 4],
            "cohort_name" => ["VIP"; 4],
            "subscription_id" => ["", "1", "2", "3"],
            "subscription_name" => ["(all e-mails)", "News", "Surveys", "Tips"],
            "members" => [200_i64, 200, 200, 2_000],
            "newly_opted_out" => newly,
        ]
    };
    tables.add("unsubscribes", left([50, 10, 9, 99]).unwrap());
    let before = df![
        "cohort_key" => ["tag:1", "tag:1"],
        "month" => [day("2026-08"), day("2026-09")],
        "subscription_id" => ["1", "1"],
        "newly_opted_out" => [7_i64, 3],
    ];
    tables.add("opt_outs", before.unwrap());
    let digest = Digest::of("2026-10".parse().unwrap(), &tables).unwrap();
    assert_eq!(sentences(&digest), ["VIP: 10 of 200 members unsubscribed from News (5.0 %); 3 the month before."]);
    assert_eq!((digest.notable[0].value, digest.notable[0].expected), (Some(10.0), Some(3.0)));
}

#[test]
fn a_cohort_that_is_back_to_its_usual_size_says_so() {
    let of = |members: [i64; 3]| {
        let months: Vec<(&str, i64)> = ["2026-08", "2026-09", "2026-10"].into_iter().zip(members).collect();
        let departed = members[1].max(members[2]) - members[2];
        let rate = (members[2] - members[1]) as f64 / members[1] as f64;
        let mut tables = tables(&months, "month_end", Some(departed), Some(rate));
        tables.add("attribute_profile", profile(members[2]).head(Some(0)));
        Digest::of("2026-10".parse().unwrap(), &tables).unwrap().notable.remove(0).sentence
    };
    assert_eq!(of([27, 237, 28]), "VIP  [1m is back to 28 members, after 237 in September 2026 and 27 in August 2026.");
    assert_eq!(of([200, 20, 170]), "VIP  [1m is back to 170 members, after 20 in September 2026 and 200 in August 2026.");
    // Only half of the lost members came back; in the second case the number fell twice.
    assert_eq!(of([200, 20, 110]), "VIP  [1m grew by 450.0 %, from 20 members to 110.");
    assert_eq!(of([300, 200, 100]), "VIP  [1m shrank by 50.0 %, from 200 members to 100.");
}
