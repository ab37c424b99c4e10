use super::*;

/// January was A's first month, and May was not observed.
pub(super) const TRIANGLE: &str = "
    cohort_key  entry_month  observed_month  retained  retained_unbroken
    tag:a       2026-01      2026-01         20        20
    tag:a       2026-01      2026-08         9         9
    tag:a       2026-02      2026-02         8         8
    tag:a       2026-02      2026-03         6         6
    tag:a       2026-02      2026-04         6         5
    tag:a       2026-02      2026-06         4         3
    tag:a       2026-02      2026-07         3         3
    tag:a       2026-02      2026-08         3         2
    tag:a       2026-03      2026-03         6         6
    tag:a       2026-03      2026-04         4         4
    tag:a       2026-03      2026-06         4         4
    tag:a       2026-03      2026-07         4         3
    tag:a       2026-03      2026-08         3         3
    tag:a       2026-04      2026-04         5         5
    tag:a       2026-04      2026-06         4         4
    tag:a       2026-04      2026-07         3         2
    tag:a       2026-04      2026-08         2         2
    tag:a       2026-06      2026-06         9         9
    tag:a       2026-06      2026-07         9         9
    tag:a       2026-06      2026-08         1         1
    tag:a       2026-07      2026-07         4         4
    tag:a       2026-07      2026-08         1         1
    tag:a       2026-08      2026-08         2         2
    tag:b       2026-08      2026-08         7         7
    tag:c       2026-06      2026-06         1         1
    tag:c       2026-07      2026-07         3         3
    tag:c       2026-07      2026-08         1         0
    tag:c       2026-08      2026-08         0         0
    tag:gone    2026-01      2026-01         3         3";

#[test]
fn survival_is_a_product_limit_over_the_known_entries() {
    let facts = facts("2026-08", ["a", "b", "c", "d"].map(|letter| cohort(letter, Some("2026-07"))).into());
    let report = judge("membership_survival", &[table(TRIANGLE)], &facts);
    // A: the entrants of January and of June (which follows the gap) may have entered earlier.
    // k = 1: February 8 to 6, March 6 to 4, July 4 to 1. After April nothing is known of March's 4, and after August nothing of
    // July's 1.
    // k = 2: February 6 to 5, then the gap.
    // k = 3: April 4 to 2. April's entrants come back from the gap at this age, March's at k = 4, February's at k = 5.
    // n* = (1 - S) / (S · Σ d / (n (n - d))): 18, 14.03, 9.19, 10.55, the same where nobody departs, 11.70. The interval is
    // Wilson's at S.
    // B's only month is its first, and D has none. C: all three depart in the first month, so the interval is that of 0 of 3.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  duration_months  at_risk  departed  censored  resumed  hazard    survival  survival_low  survival_high
        2026-08  tag:a       A            1                18       7         5         0        0.388889  0.611111  0.38619       0.796948
        2026-08  tag:a       A            2                6        1         5         0        0.166667  0.509259  0.275483      0.739055
        2026-08  tag:a       A            3                4        2         0         4        0.5       0.25463   0.079594      0.574379
        2026-08  tag:a       A            4                6        1         2         4        0.166667  0.212191  0.064232      0.513831
        2026-08  tag:a       A            5                6        0         3         3        0         0.212191  0.064232      0.513831
        2026-08  tag:a       A            6                3        1         2         0        0.333333  0.141461  0.035474      0.424681
        2026-08  tag:c       C            1                3        3         0         0        1         0         0             0.561497",
    );
}

#[test]
fn rows_end_if_a_gap_leaves_nobody_at_risk() {
    // April is missing: no entrant of February or March is observed from the first to the second month.
    let triangle = table(
        "
        cohort_key  entry_month  observed_month  retained  retained_unbroken
        tag:a       2026-01      2026-01         2         2
        tag:a       2026-02      2026-02         2         2
        tag:a       2026-02      2026-03         1         1
        tag:a       2026-02      2026-05         0         0
        tag:a       2026-03      2026-03         2         2
        tag:a       2026-03      2026-05         1         1
        tag:a       2026-03      2026-06         1         1
        tag:a       2026-05      2026-05         1         1
        tag:a       2026-05      2026-06         0         0
        tag:a       2026-06      2026-06         1         1",
    );
    let facts = facts("2026-06", vec![cohort("a", Some("2026-05"))]);
    let report = judge("membership_survival", &[triangle], &facts);
    assert_shows(
        &report,
        "
        duration_months  at_risk  departed  censored  resumed  survival  survival_low  survival_high
        1                2        1         1         0        0.5       0.094531      0.905469",
    );
}

#[test]
fn with_one_entry_month_and_no_gap_survival_equals_retention() {
    // All entrants entered in February, and nobody returns.
    let triangle = table(
        "
        cohort_key  entry_month  observed_month  retained  retained_unbroken
        tag:a       2026-01      2026-01         0         0
        tag:a       2026-02      2026-02         40        40
        tag:a       2026-02      2026-03         40        40
        tag:a       2026-02      2026-04         31        31
        tag:a       2026-02      2026-05         2         2
        tag:a       2026-02      2026-06         0         0",
    );
    let facts = facts("2026-06", vec![cohort("a", Some("2026-05"))]);
    let report = |name: &str| judge(name, std::slice::from_ref(&triangle), &facts);
    let numbers = |frame: DataFrame, columns: [&str; 3], skip: i64| {
        let rows = frame.slice(skip, 4);
        columns.map(|column| rows.column(column).unwrap().f64().unwrap().iter().map(Option::unwrap).collect::<Vec<f64>>())
    };
    let survival = numbers(report("membership_survival"), ["survival", "survival_low", "survival_high"], 0);
    // Skips the rows of January, and of the contacts that have just entered.
    let retention = numbers(report("retention"), ["retention_rate", "rate_low", "rate_high"], 2);
    for (survival, retention) in survival.iter().flatten().zip(retention.iter().flatten()) {
        assert!((survival - retention).abs() < 1e-12, "{survival} {retention}");
    }
    assert_eq!(survival[0], [1.0, 0.775, 0.05, 0.0]);
}
