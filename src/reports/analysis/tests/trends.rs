use super::*;

/// The report of cohorts that were all observed at the month's end.
fn trends(now: &str, cohorts: Vec<CohortFacts>, written: DataFrame) -> DataFrame {
    let facts = facts(now, cohorts);
    judge("cohort_trends", &[counts(written)], &facts)
}

/// The rows of a metric of cohort A, whose compared month is `compared`.
fn of_a(metric: &str, now: &str, compared: &str, written: DataFrame) -> DataFrame {
    only(&trends(now, vec![cohort("a", Some(compared))], written), "metric", metric)
}

/// A count that changes by these steps, from `start` on.
fn steps(start: i64, steps: &[i64]) -> Vec<i64> {
    let mut values = vec![start];
    values.extend(steps.iter().scan(start, |value, step| {
        *value += step;
        Some(*value)
    }));
    values
}

const WITH_A_GAP: &str = "
    cohort_key  month    in_history  members
    tag:a       2025-03  true        1000
    tag:a       2025-04  true        8
    tag:a       2026-01  true        10
    tag:a       2026-03  true        16
    tag:a       2026-04  true        12";

const STOCKS: [&str; 9] =
    ["active_members", "active_rate", "hard_bounced", "leads", "marked_spam", "members", "unsubscribed", "unsubscribed_rate", "users"];

const FLOWS: [&str; 12] = [
    "churn_rate",
    "conversations_opened",
    "converted_leads",
    "departed",
    "departed_gone",
    "joined",
    "new_contacts",
    "newly_unsubscribed",
    "opener_rate",
    "openers",
    "quick_ratio",
    "returned",
];

#[test]
fn stocks_are_tested_by_signed_ranks_and_flows_by_mann_kendall() {
    let report = trends("2026-01", vec![cohort("a", None)], table("cohort_key month in_history members\n tag:a 2026-01 true 3"));
    for (test, metrics) in [("signed_rank", &STOCKS[..]), ("mann_kendall", &FLOWS[..])] {
        assert_shows(&only(&report, "trend_test", test), &format!("metric\n{}", metrics.join("\n")));
    }
    assert_eq!(report.height(), STOCKS.len() + FLOWS.len());
    // Each metric is a column of the summary.
    let summary = Report::named("cohort_summary").unwrap().table.columns;
    assert!(STOCKS.iter().chain(&FLOWS).all(|metric| summary.iter().any(|column| column.name == *metric)));
    // A first month has only its value.
    let members = only(&report, "metric", "members");
    assert_shows(
        &members,
        "
        value  previous_value  change  change_rate  year_ago_value  moving_average_3  slope_per_month  trend_p  direction
        3      -               -       -            -               -                 -                -        -",
    );
    assert_shows(
        &members,
        "
        expected  expected_low  expected_high  anomaly_p  anomaly_q  is_anomaly  history_months
        -         -             -              -          -          false       1",
    );
}

#[test]
fn changes_since_an_earlier_month_than_the_month_before_have_no_value() {
    // March is compared with January: its flows cover two months. Conversations cover only March.
    let written = || {
        table(
            "
            cohort_key  month    in_history  members  previous_members  joined  departed  returned  departed_gone  newly_unsubscribed  converted_leads  openers
            tag:a       2026-01  true        10       -                 -       -         -         -              -                   -                4
            tag:a       2026-03  true        16       10                8       2         1         1              1                   1                6
            tag:a       2026-04  true        12       16                1       5         1         2              1                   1                6
            tag:a       2026-05  true        15       12                4       1         2         1              3                   2                3",
        )
    };
    let of_march = trends("2026-03", vec![cohort("a", Some("2026-01"))], written().head(Some(2)));
    let since = ["churn_rate", "converted_leads", "departed", "departed_gone", "joined", "newly_unsubscribed", "quick_ratio", "returned"];
    for metric in since {
        assert_shows(&only(&of_march, "metric", metric), "value previous_value slope_per_month expected\n - - - -");
    }
    assert_shows(&only(&of_march, "metric", "openers"), "value previous_value change\n 6 4 -");
    assert_shows(&only(&of_march, "metric", "opener_rate"), "value previous_value change\n 0.375 0.4 -");
    // April's flows cover one month, and there is nothing to compare them with. May's flows are compared with April's, which are
    // also the expected values.
    let of_april = trends("2026-04", vec![cohort("a", Some("2026-03"))], written().head(Some(3)));
    assert_shows(&only(&of_april, "metric", "joined"), "value previous_value change expected history_months\n 1 - - - 3");
    let of_may = trends("2026-05", vec![cohort("a", Some("2026-04"))], written());
    let columns = "value previous_value change change_rate moving_average_3 slope_per_month expected expected_low history_months";
    assert_shows(&only(&of_may, "metric", "joined"), &format!("{columns}\n 4 1 3 3 - 3 1 - 4"));
    assert_shows(&only(&of_may, "metric", "churn_rate"), "value previous_value\n 0.083333 0.3125");
    assert_shows(&only(&of_may, "metric", "quick_ratio"), "value previous_value\n 4 0.2");
}

#[test]
fn a_change_needs_the_month_before() {
    let columns = "month cohort_name value previous_value change change_rate history_months";
    // In March the month before is missing. April is compared with March: 12 - 16, -4/16.
    let march = of_a("members", "2026-03", "2026-01", table(WITH_A_GAP).head(Some(4)));
    assert_shows(&march, &format!("{columns}\n 2026-03 A 16 10 - - 4"));
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, &format!("{columns}\n 2026-04 A 12 16 -4 -0.25 5"));
    // A change from 0 has no rate.
    let from_nothing = of_a("members", "2026-02", "2026-01", months_in_a_row("a", "2026-01", &[("members", &[0, 7])]));
    assert_shows(&from_nothing, &format!("{columns}\n 2026-02 A 7 0 7 - 2"));
}

#[test]
fn a_year_ago_is_twelve_months_before() {
    // 12 now against 8 in April 2025: 4/8.
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, "year_ago_value year_rate\n 8 0.5");
    // First there is no April 2025, then April 2025 is empty.
    let (before, after) = (table(WITH_A_GAP).head(Some(1)), table(WITH_A_GAP).tail(Some(3)));
    let april = of_a("members", "2026-04", "2026-03", before.vstack(&after).unwrap());
    assert_shows(&april, "year_ago_value year_rate\n - -");
    let nobody = table("cohort_key month in_history members\n tag:a 2025-04 true 0").vstack(&after).unwrap();
    assert_shows(&of_a("members", "2026-04", "2026-03", nobody), "year_ago_value year_rate\n 0 -");
}

#[test]
fn a_moving_average_needs_three_months_in_a_row() {
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, "moving_average_3\n -");
    // (16 + 12 + 9) / 3.
    let may = table(WITH_A_GAP).vstack(&table("cohort_key month in_history members\n tag:a 2026-05 true 9")).unwrap();
    assert_shows(&of_a("members", "2026-05", "2026-04", may), "moving_average_3\n 12.333333");
}

#[test]
fn the_slope_is_the_median_of_all_pairs_of_the_last_twelve_months() {
    // January, March and April: (16 - 10)/2 = 3, (12 - 10)/3 = 0.666667, (12 - 16)/1 = -4. April 2025 is too old: twelve months.
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, "slope_per_month\n 0.666667");
    // In March 2026, April 2025 is the first of the last twelve months. The slopes are 2/9, 8/11 and 3, and their median is 8/11.
    let march = of_a("members", "2026-03", "2026-01", table(WITH_A_GAP).head(Some(4)));
    assert_shows(&march, "slope_per_month\n 0.727273");
}

#[test]
fn a_stock_rises_or_falls_if_its_changes_have_one_sign() {
    // All seven changes go up. Of 2⁷ combinations of signs, one is as extreme on this side and one on the other: p = 2/128. Nothing
    // else has a p, so q = p.
    let rising = of_a("members", "2026-08", "2026-07", months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29])]));
    let columns = "slope_per_month  trend_p  trend_q  direction";
    // 4 is the median slope of all 28 pairs. The slopes of neighbours are 1 to 7, and the slope of the ends is 4.
    assert_shows(&rising, &format!("{columns}\n 4 0.015625 0.015625 rising"));
    let falling = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &[40, 39, 37, 34, 30, 25, 19])]));
    assert_shows(&falling, &format!("{columns}\n -3.5 0.03125 0.03125 falling"));
    // The changes go up and down: +1 -1 +2 -2 +3 -3. The ranks of both signs have the same sum, so p = 1.
    let flat = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &steps(9, &[1, -1, 2, -2, 3, -3]))]));
    assert_eq!(flat.column("direction").unwrap().str().unwrap().get(0), Some("flat"));
    assert_shows(&flat, "trend_p trend_q\n 1 1");
    // Nothing changes.
    let still = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &[5; 7])]));
    assert_shows(&still, &format!("{columns}\n 0 1 1 flat"));
    // Six months are too few for a direction, even with a low p. A single month has no change.
    let short = of_a("members", "2026-06", "2026-05", months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16])]));
    assert_shows(&short, &format!("{columns}\n 3 0.0625 0.0625 -"));
}

#[test]
fn months_before_the_last_twelve_do_not_affect_the_trend() {
    // The value falls into May 2025, which is the first of the twelve months. Then it rises eleven times: 2/2¹¹.
    let members = steps(500, &[-100, -90, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let report = of_a("members", "2026-04", "2026-03", months_in_a_row("a", "2025-03", &[("members", &members)]));
    assert_shows(&report, "trend_p direction history_months\n 0.000977 rising 14");
}

#[test]
fn a_gap_has_no_change_and_takes_months_from_the_direction() {
    // January to August without March: seven months and five changes (1 to 2, then 7 to 11, 16, 22 and 29).
    let counts = months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29])]);
    let without_march = counts.head(Some(2)).vstack(&counts.tail(Some(5))).unwrap();
    assert_shows(&of_a("members", "2026-08", "2026-07", without_march), "trend_p direction history_months\n 0.0625 flat 7");
    // Without July as well, six months are left.
    let without_both = counts.head(Some(2)).vstack(&counts.slice(3, 3)).unwrap().vstack(&counts.tail(Some(1))).unwrap();
    assert_shows(&of_a("members", "2026-08", "2026-06", without_both), "change trend_p direction history_months\n - 0.25 - 6");
}

#[test]
fn q_is_over_the_cohorts_metrics_and_decides_the_direction() {
    // A: members rise seven times, p = 2/2⁷ = 0.015625. joined is null in the first month and then rises in each of seven: S = 21,
    // variance 7 · 6 · 19 / 18, z = 20 / 6.6583, p = 0.002667, q = 0.002667 · 2. B: nothing changes, p = 1.
    let a = months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29]), ("joined", &[9, 1, 2, 3, 4, 5, 6, 7])]);
    let mut b = months_in_a_row("b", "2026-01", &[("members", &[5; 8])]);
    b.with_column(Column::full_null("joined".into(), 8, &DataType::Int64)).unwrap();
    let report = trends("2026-08", vec![cohort("a", Some("2026-07")), cohort("b", Some("2026-07"))], a.vstack(&b).unwrap());
    let tested = report.lazy().filter(col("trend_p").is_not_null()).collect().unwrap();
    assert_shows(
        &tested,
        "
        cohort_key  metric   trend_p   trend_q   direction
        tag:a       joined   0.002667  0.005333  rising
        tag:a       members  0.015625  0.015625  rising
        tag:b       members  1         1         flat",
    );
    // A has two metrics, because its users stay the same: q of its members is 0.03125 · 2, which is not below 0.05. B has only
    // members, and A does not affect the q of B.
    let rising = [1, 2, 4, 7, 11, 16, 22];
    let a = months_in_a_row("a", "2026-01", &[("members", &rising), ("users", &[1; 7])]);
    let mut b = months_in_a_row("b", "2026-01", &[("members", &rising)]);
    b.with_column(Column::full_null("users".into(), 7, &DataType::Int64)).unwrap();
    let report = trends("2026-07", vec![cohort("a", Some("2026-06")), cohort("b", Some("2026-06"))], a.vstack(&b).unwrap());
    assert_shows(
        &only(&report, "metric", "members"),
        "
        cohort_key  trend_p  trend_q  direction
        tag:a       0.03125  0.0625   flat
        tag:b       0.03125  0.03125  rising",
    );
}

/// Changes with mean 2 and standard deviation √(8/11).
const EARLIER: [i64; 12] = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3];

/// The rows of a metric of A in the month after these changes of its active members. A has a hundred members in each month.
fn after(metric: &str, changes: &[i64]) -> DataFrame {
    let values = steps(20, changes);
    let counts = months_in_a_row("a", "2026-01", &[("active_members", &values), ("members", &vec![100; values.len()])]);
    let now = (1..values.len()).fold(month("2026-01"), |month, _| month.next());
    of_a(metric, &now.to_string(), &now.previous().to_string(), counts)
}

#[test]
fn a_stock_is_expected_to_change_as_before() {
    let with_last = |metric: &str, last: i64, earlier: &[i64]| after(metric, &[earlier, &[last]].concat());
    let columns = "change expected expected_low expected_high anomaly_p anomaly_q is_anomaly history_months";
    // 44 + 2 is expected, and t(11) = 2.200985 times √(8/11 · 13/12) to either side. A change of 12 is 10 off: p = 2.2e-7. The rate
    // has the same p.
    let odd = with_last("active_members", 12, &EARLIER);
    assert_shows(&odd, &format!("{columns}\n 12 46 44.04635 47.95365 0 0 true 14"));
    let p = odd.column("anomaly_p").unwrap().f64().unwrap().get(0).unwrap();
    assert!((p / 2.219_401_729_672_821e-7 - 1.0).abs() < 1e-9, "{p}");
    assert_shows(&with_last("active_members", -8, &EARLIER), &format!("{columns}\n -8 46 44.04635 47.95365 0 0 true 14"));
    // A count that is less than ten away is not odd, even if it is very unlikely. A rate is odd.
    assert_shows(&with_last("active_members", 11, &EARLIER), &format!("{columns}\n 11 46 44.04635 47.95365 0.000001 0.000001 false 14"));
    assert_shows(&with_last("active_rate", 11, &EARLIER), &format!("{columns}\n 0.11 0.46 0.440463 0.479537 0.000001 0.000001 true 14"));
    // A likely value is not odd.
    assert_shows(&with_last("active_rate", 3, &EARLIER), &format!("{columns}\n 0.03 0.46 0.440463 0.479537 0.283888 0.283888 false 14"));
    // With eleven earlier changes nothing is odd. Six are enough for an interval, five are not.
    assert_shows(&with_last("active_members", 12, &EARLIER[1..]), &format!("{columns}\n 12 45.090909 43.156506 47.025312 - - false 13"));
    assert_shows(&with_last("active_members", 2, &EARLIER[..6]), &format!("{columns}\n 2 34 31.516582 36.483418 - - false 8"));
    assert_shows(&with_last("active_members", 2, &EARLIER[..5]), &format!("{columns}\n 2 30.8 - - - - false 7"));
}

#[test]
fn anomaly_q_depends_on_the_other_cohorts() {
    let a = months_in_a_row("a", "2026-01", &[("members", &steps(20, &[&EARLIER[..], &[5]].concat()))]);
    let b = months_in_a_row("b", "2026-01", &[("members", &steps(20, &[&EARLIER[..], &[2]].concat()))]);
    let now = "2027-02";
    let p = |letter: &str, written: DataFrame| {
        let report = trends(now, vec![cohort(letter, Some("2027-01"))], written);
        only(&report, "metric", "members").column("anomaly_q").unwrap().f64().unwrap().get(0).unwrap()
    };
    let alone = p("a", a.clone());
    let both = trends(now, vec![cohort("a", Some("2027-01")), cohort("b", Some("2027-01"))], a.vstack(&b).unwrap());
    let q = only(&both, "metric", "members").column("anomaly_q").unwrap().f64().unwrap().get(0).unwrap();
    assert!((q - 2.0 * alone).abs() < 1e-15, "{q} {alone}");
}

#[test]
fn the_return_after_an_odd_month_is_not_odd() {
    // The value rises by fifty and falls by forty-eight a month later. 46 were expected in the first month and 99.7 in the second.
    // The value is then 46 again, as expected before the odd month.
    let (odd, back) = ([&EARLIER[..], &[50]].concat(), [&EARLIER[..], &[50, -48]].concat());
    for metric in ["active_members", "active_rate"] {
        assert_shows(&after(metric, &odd), "is_anomaly\n true");
        assert_shows(&after(metric, &back), "anomaly_p anomaly_q is_anomaly\n 0.002191 0.002191 false");
    }
    // A flow is compared with its mean: here forty after twelve months with about twelve each.
    let openers = |values: &[i64]| {
        let counts = months_in_a_row("a", "2026-01", &[("openers", values)]);
        let now = (1..values.len()).fold(month("2026-01"), |month, _| month.next());
        of_a("openers", &now.to_string(), &now.previous().to_string(), counts)
    };
    let usual = [10, 12, 14, 10, 12, 14, 10, 12, 14, 10, 12, 14];
    let columns = "value expected expected_low expected_high anomaly_p is_anomaly history_months";
    assert_shows(&openers(&[&usual[..], &[40]].concat()), &format!("{columns}\n 40 12 8.092699 15.907301 0 true 13"));
    assert_shows(&openers(&[&usual[..], &[40, 12]].concat()), &format!("{columns}\n 12 14.153846 -3.789116 32.096808 0.79811 false 14"));
    // Eight more than expected are unlikely, but too few to be odd. Ten more are odd.
    assert_shows(&openers(&[&usual[..], &[20]].concat()), &format!("{columns}\n 20 12 8.092699 15.907301 0.000892 false 13"));
    assert_shows(&openers(&[&usual[..], &[22]].concat()), &format!("{columns}\n 22 12 8.092699 15.907301 0.000153 true 13"));
}

#[test]
fn equal_changes_of_a_rate_have_no_spread_despite_rounding() {
    // Each month one more of fifty is active: 0.06 - 0.04 and 0.08 - 0.06 are not the same in floating point.
    let mut changes = vec![1; 12];
    let counts = |changes: &[i64]| months_in_a_row("a", "2026-01", &[("active_members", &steps(0, changes)), ("members", &[50; 14])]);
    changes.push(9);
    let report = of_a("active_rate", "2027-02", "2027-01", counts(&changes));
    assert_shows(
        &report,
        "change expected expected_low expected_high anomaly_p is_anomaly history_months\n 0.18 0.26 0.26 0.26 - false 14",
    );
}

#[test]
fn a_month_outside_the_history_has_its_own_value_and_nothing_else() {
    let mut counts = months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29])]);
    let in_history: Vec<bool> = (0..8).map(|month| month < 7).collect();
    counts.with_column(Column::new("in_history".into(), in_history)).unwrap();
    let outside = CohortFacts { basis: Basis::Late, ..cohort("a", None) };
    let report = only(&trends("2026-08", vec![outside], counts), "metric", "members");
    assert_shows(
        &report,
        "
        value  previous_value  change  change_rate  year_ago_value  year_rate  moving_average_3  slope_per_month
        29     -               -       -            -               -          -                 -",
    );
    assert_shows(
        &report,
        "
        trend_test   trend_p  trend_q  direction  expected  expected_low  expected_high  anomaly_p  anomaly_q  is_anomaly  history_months
        signed_rank  -        -        -          -         -             -              -          -          false       -",
    );
}

#[test]
fn a_month_outside_the_history_does_not_affect_later_trends() {
    // A history does not keep the counts of a late month. If it did, they would be marked as outside the history, as here.
    let written = table(
        "
        cohort_key  month    in_history  members
        tag:a       2026-01  true        10
        tag:a       2026-02  false       99
        tag:a       2026-03  true        16",
    );
    let report = of_a("members", "2026-03", "2026-01", written);
    assert_shows(&report, "previous_value change moving_average_3 slope_per_month history_months\n 10 - - 3 2");
}

#[test]
fn a_series_has_a_gap_for_each_month_that_was_not_observed() {
    let counts = counts(table(WITH_A_GAP));
    let of = [("tag:a", "members"), ("tag:b", "members"), ("tag:a", "no metric")];
    let series = metric_series(&counts, month("2026-04"), &of, 4).unwrap();
    assert_eq!(series, [vec![Some(10.0), None, Some(16.0), Some(12.0)], vec![], vec![]]);
}
