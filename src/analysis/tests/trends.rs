use super::*;

/// The report of cohorts that were all observed at the month's end.
fn trends(now: &str, cohorts: Vec<CohortFacts>, written: DataFrame) -> DataFrame {
    let facts = facts(now, cohorts);
    build("cohort_trends", &Inputs { counts: counts(written).lazy(), ..inputs(&facts) }, &facts)
}

/// The rows of a metric of A's, compared with `compared`.
fn of_a(metric: &str, now: &str, compared: &str, written: DataFrame) -> DataFrame {
    only(&trends(now, vec![cohort("a", Some(compared))], written), "metric", metric)
}

/// A count that goes by these steps, from `start` on.
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

#[test]
fn every_count_and_rate_of_the_summary_is_a_metric() {
    let report = trends("2026-01", vec![cohort("a", None)], table("cohort_key month in_history members\n tag:a 2026-01 true 3"));
    let mut metrics: Vec<&str> = report.column("metric").unwrap().str().unwrap().iter().map(Option::unwrap).collect();
    metrics.sort_by_key(|metric| Report::named("cohort_summary").unwrap().table.columns.iter().position(|column| column.name == *metric));
    let is_metric = |column: &&table::Column| matches!(column.kind, table::Kind::Count | table::Kind::Ratio);
    let summary: Vec<&str> =
        Report::named("cohort_summary").unwrap().table.columns.iter().filter(is_metric).map(|column| column.name).collect();
    assert_eq!(metrics, summary);
    // Of a first month there is nothing but its value.
    assert_shows(
        &only(&report, "metric", "members"),
        "
        value  previous_value  change  change_rate  year_ago_value  moving_average_3  slope_per_month  trend_p  direction  robust_z  is_anomaly  history_months
        3      -               -       -            -               -                 -                -        -          -         false       1",
    );
}

#[test]
fn a_change_needs_the_month_before() {
    let columns = "month cohort_name value previous_value change change_rate history_months";
    // In March the month before is missing; April is compared with March: 12 - 16, -4/16.
    let march = of_a("members", "2026-03", "2026-01", table(WITH_A_GAP).head(Some(4)));
    assert_shows(&march, &format!("{columns}\n 2026-03 A 16 10 - - 4"));
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, &format!("{columns}\n 2026-04 A 12 16 -4 -0.25 5"));
    // From nothing there is a change, and no rate of it.
    let from_nothing = of_a("members", "2026-02", "2026-01", months_in_a_row("a", "2026-01", &[("members", &[0, 7])]));
    assert_shows(&from_nothing, &format!("{columns}\n 2026-02 A 7 0 7 - 2"));
}

#[test]
fn a_year_ago_is_twelve_months_before() {
    // 12 against 8 of April 2025: 4/8.
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, "year_ago_value year_rate\n 8 0.5");
    // No April 2025, and one with nobody.
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
    // January, March and April: (16 - 10)/2 = 3, (12 - 10)/3 = 0.666667, (12 - 16)/1 = -4. April 2025 is twelve months away.
    let april = of_a("members", "2026-04", "2026-03", table(WITH_A_GAP));
    assert_shows(&april, "slope_per_month\n 0.666667");
    // In March 2026, April 2025 is the first of the last twelve: 2/9, 8/11, 3, and the middle one is 8/11.
    let march = of_a("members", "2026-03", "2026-01", table(WITH_A_GAP).head(Some(4)));
    assert_shows(&march, "slope_per_month\n 0.727273");
}

#[test]
fn stocks_are_tested_by_signed_ranks_and_the_rest_by_mann_kendall() {
    let report = trends("2026-01", vec![cohort("a", None)], table("cohort_key month in_history members\n tag:a 2026-01 true 3"));
    let tests = report.lazy().select([col("metric"), col("trend_test")]).collect().unwrap();
    let stocks = ["hard_bounced", "leads", "marked_spam", "members", "unsubscribed", "users"];
    let signed = only(&tests, "trend_test", "signed_rank");
    assert_shows(&signed, &format!("metric\n{}", stocks.join("\n")));
    assert_eq!(only(&tests, "trend_test", "mann_kendall").height(), 27 - stocks.len());
}

#[test]
fn a_stock_rises_or_falls_when_its_changes_are_on_one_side_of_zero() {
    // Seven changes up: of 2⁷ signs one is as extreme on this side, and one on the other: 2/128. Nothing else has a p, so q = p.
    let rising = of_a("members", "2026-08", "2026-07", months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29])]));
    let columns = "slope_per_month  trend_p  trend_q  direction";
    // Slopes of all 28 pairs: those of neighbours are 1 to 7, those of the ends 4.
    assert_shows(&rising, &format!("{columns}\n 4 0.015625 0.015625 rising"));
    let falling = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &[40, 39, 37, 34, 30, 25, 19])]));
    assert_shows(&falling, &format!("{columns}\n -3.5 0.03125 0.03125 falling"));
    // Ups and downs: +1 -1 +2 -2 +3 -3, the ranks of either side add up to the same: p = 1.
    let flat = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &steps(9, &[1, -1, 2, -2, 3, -3]))]));
    assert_eq!(flat.column("direction").unwrap().str().unwrap().get(0), Some("flat"));
    assert_shows(&flat, "trend_p trend_q\n 1 1");
    // No change at all.
    let still = of_a("members", "2026-07", "2026-06", months_in_a_row("a", "2026-01", &[("members", &[5; 7])]));
    assert_shows(&still, &format!("{columns}\n 0 1 1 flat"));
    // Six months are too few for a direction, whatever p is; a single month has no change.
    let short = of_a("members", "2026-06", "2026-05", months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16])]));
    assert_shows(&short, &format!("{columns}\n 3 0.0625 0.0625 -"));
}

#[test]
fn what_is_older_than_twelve_months_has_no_part_in_the_trend() {
    // A fall into May 2025, the first of the twelve, and eleven rises since: 2/2¹¹.
    let members = steps(500, &[-100, -90, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let report = of_a("members", "2026-04", "2026-03", months_in_a_row("a", "2025-03", &[("members", &members)]));
    assert_shows(&report, "trend_p direction history_months\n 0.000977 rising 14");
}

#[test]
fn a_gap_has_no_change_and_takes_months_from_the_direction() {
    // January to August without March: 1 to 2, 7 to 11, 16, 22, 29: five changes, seven months.
    let counts = months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22, 29])]);
    let without_march = counts.head(Some(2)).vstack(&counts.tail(Some(5))).unwrap();
    assert_shows(&of_a("members", "2026-08", "2026-07", without_march), "trend_p direction history_months\n 0.0625 flat 7");
    // Without July as well, six months are left.
    let without_both = counts.head(Some(2)).vstack(&counts.slice(3, 3)).unwrap().vstack(&counts.tail(Some(1))).unwrap();
    assert_shows(&of_a("members", "2026-08", "2026-06", without_both), "change trend_p direction history_months\n - 0.25 - 6");
}

#[test]
fn q_is_over_the_whole_report_and_decides_the_direction() {
    // A: members rise six times, 2/2⁶ = 0.03125; joined rises in each of seven months: S = 21, variance 7 · 6 · 19 / 18, z = 20 / 6.6583,
    // p = 0.002667. B: nothing changes, p = 1. q = 0.002667 · 3/1, 0.03125 · 3/2, 1.
    let a = months_in_a_row("a", "2026-01", &[("members", &[1, 2, 4, 7, 11, 16, 22]), ("joined", &[1, 2, 3, 4, 5, 6, 7])]);
    let mut b = months_in_a_row("b", "2026-01", &[("members", &[5; 7])]);
    b.with_column(Column::full_null("joined".into(), 7, &DataType::Int64)).unwrap();
    let cohorts = || vec![cohort("a", Some("2026-06")), cohort("b", Some("2026-06"))];
    let report = trends("2026-07", cohorts(), a.vstack(&b).unwrap());
    let tested = report.lazy().filter(col("trend_p").is_not_null()).collect().unwrap();
    assert_shows(
        &tested,
        "
        cohort_key  metric   trend_p   trend_q   direction
        tag:a       joined   0.002667  0.008     rising
        tag:a       members  0.03125   0.046875  rising
        tag:b       members  1         1         flat",
    );
    // Without what joined rises, members are one of two: 0.03125 · 2 is not below 0.05.
    let only_members = a.vstack(&b).unwrap().lazy().drop(cols(["joined"])).collect().unwrap();
    let report = trends("2026-07", cohorts(), only_members);
    assert_shows(
        &only(&report, "metric", "members"),
        "
        cohort_key  trend_p  trend_q  direction
        tag:a       0.03125  0.0625   flat
        tag:b       1        1        flat",
    );
}

/// Changes of which the median is 2, and the median distance to it 1.
const EARLIER: [i64; 11] = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2];

#[test]
fn a_change_far_from_the_median_of_the_earlier_ones_is_an_anomaly() {
    let columns = "change robust_z is_anomaly history_months";
    let with_last = |metric: &str, last: i64, earlier: &[i64]| {
        let values = steps(20, &[earlier, &[last]].concat());
        let counts = months_in_a_row("a", "2026-01", &[("active_members", &values), ("members", &vec![100; values.len()])]);
        let now = (1..values.len()).fold(month("2026-01"), |month, _| month.next());
        of_a(metric, &now.to_string(), &now.previous().to_string(), counts)
    };
    // 0.6745 · (12 - 2) / 1, in the thirteenth month; -10 is as far below.
    assert_shows(&with_last("active_members", 12, &EARLIER), &format!("{columns}\n 12 6.745 true 13"));
    assert_shows(&with_last("active_members", -10, &EARLIER), &format!("{columns}\n -10 -8.094 true 13"));
    // In the twelfth month the median is 2 still, and the history too short.
    assert_shows(&with_last("active_members", 12, &EARLIER[1..]), &format!("{columns}\n 12 6.745 false 12"));
    // A count of less than ten is not looked at, however far off. A rate is: 0.09 is as far from 0.02.
    assert_shows(&with_last("active_members", 9, &EARLIER), &format!("{columns}\n 9 4.7215 false 13"));
    assert_shows(&with_last("active_rate", 9, &EARLIER), &format!("{columns}\n 0.09 4.7215 true 13"));
    // 0.6745 · (7 - 2) is not more than 3.5.
    assert_shows(&with_last("active_rate", 7, &EARLIER), &format!("{columns}\n 0.07 3.3725 false 13"));
    // When more than half of the earlier changes are the same, MAD is 0.
    let alike = [2, 2, 2, 2, 2, 2, 2, 5, 1, 3, 2];
    assert_shows(&with_last("active_members", 50, &alike), &format!("{columns}\n 50 - false 13"));
}

#[test]
fn rates_that_change_alike_have_no_mad_though_their_last_digits_differ() {
    // One of ten more each month: 0.2 - 0.1 and 0.3 - 0.2 are not the same in floating point.
    let active = steps(0, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, 1]);
    let counts = months_in_a_row("a", "2026-01", &[("active_members", &active), ("members", &[10; 14])]);
    let report = of_a("active_rate", "2027-02", "2027-01", counts);
    assert_shows(&report, "change robust_z is_anomaly history_months\n 0.1 - false 14");
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
        trend_test   trend_p  trend_q  direction  robust_z  is_anomaly  history_months
        signed_rank  -        -        -          -         false       -",
    );
}

#[test]
fn a_month_outside_the_history_is_no_part_of_later_trends() {
    // The counts of a late month are not kept; if they were, they would be marked.
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
