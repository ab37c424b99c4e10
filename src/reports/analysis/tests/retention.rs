use super::*;

/// January was A's first month, and March was not observed: new members of April may have entered in March.
const TRIANGLE: &str = "
    cohort_key  entry_month  observed_month  retained  retained_unbroken
    tag:a       2026-01      2026-01         10        10
    tag:a       2026-01      2026-02         8         8
    tag:a       2026-01      2026-04         7         6
    tag:a       2026-02      2026-02         4         4
    tag:a       2026-02      2026-04         1         1
    tag:a       2026-04      2026-04         0         0
    tag:b       2026-04      2026-04         0         0
    tag:gone    2026-01      2026-01         3         3";

#[test]
fn each_month_has_the_whole_triangle_without_unobserved_ages() {
    let facts = facts("2026-04", vec![cohort("a", Some("2026-02")), cohort("b", None)]);
    let report = judge("retention", &[table(TRIANGLE)], &facts);
    // January's entrants were not observed at age 2, and February's not at age 1. Of January's ten, first eight and then seven are
    // members, and one of the seven after a break: 7/10 retained, 6 unbroken. B's only month is its first, and B was empty.
    // Wilson, z = 1.96: 8/10 gives 0.490162 to 0.943318, 7/10 0.396778 to 0.892209, 1/4 0.045587 to 0.699358.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  entry_month  entry_is_censored  age_months  entrants  retained  retained_unbroken  retention_rate  rate_low  rate_high
        2026-04  tag:a       A            2026-01      true               0           10        10        10                 1               0.722467  1
        2026-04  tag:a       A            2026-01      true               1           10        8         8                  0.8             0.490162  0.943318
        2026-04  tag:a       A            2026-01      true               3           10        7         6                  0.7             0.396778  0.892209
        2026-04  tag:a       A            2026-02      false              0           4         4         4                  1               0.510109  1
        2026-04  tag:a       A            2026-02      false              2           4         1         1                  0.25            0.045587  0.699358
        2026-04  tag:a       A            2026-04      true               0           0         0         0                  -               -         -
        2026-04  tag:b       B            2026-04      true               0           0         0         0                  -               -         -",
    );
}

#[test]
fn ages_are_counted_across_the_end_of_a_year() {
    let facts = facts("2027-02", vec![cohort("a", Some("2027-01"))]);
    let triangle = table(
        "
        cohort_key  entry_month  observed_month  retained  retained_unbroken
        tag:a       2025-11      2025-11         2         2
        tag:a       2025-11      2027-02         1         0",
    );
    let report = judge("retention", &[triangle], &facts);
    assert_shows(&report, "age_months  retained  retained_unbroken\n 0 2 2\n 15 1 0");
}

#[test]
fn cohorts_without_a_history_have_no_triangle() {
    let facts = facts("2026-04", vec![cohort("b", None)]);
    let triangle = table(TRIANGLE).head(Some(6));
    let report = judge("retention", &[triangle], &facts);
    assert_shows(&report, "cohort_key  age_months");
}

#[test]
fn the_curve_pools_known_months_of_entry_that_are_old_enough() {
    let facts = facts("2026-08", ["a", "b", "c", "d"].map(|letter| cohort(letter, Some("2026-07"))).into());
    let report = judge("retention_curve", &[table(survival::TRIANGLE)], &facts);
    // A: the entries of February, March, April, July and August are known. At age 1, February, March and July have 8 + 6 + 4
    // entrants, and 6 + 4 + 1 of them are members. At age 2 there are February and April, at age 3 March and April, and so on. B's
    // entries are unknown, and D has none.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  age_months  entry_months  entrants  retained  retained_unbroken  retention_rate  rate_low  rate_high
        2026-08  tag:a       A            0           5             25        25        25                 1               0.866808  1
        2026-08  tag:a       A            1           3             18        11        11                 0.611111        0.38619   0.796948
        2026-08  tag:a       A            2           2             13        10        9                  0.769231        0.497436  0.918205
        2026-08  tag:a       A            3           2             11        7         6                  0.636364        0.353801  0.848335
        2026-08  tag:a       A            4           3             19        10        8                  0.526316        0.317078  0.726702
        2026-08  tag:a       A            5           2             14        6         6                  0.428571        0.213808  0.674094
        2026-08  tag:a       A            6           1             8         3         2                  0.375           0.136844  0.694258
        2026-08  tag:c       C            0           2             3         3         3                  1               0.438503  1
        2026-08  tag:c       C            1           1             3         1         0                  0.333333        0.061492  0.79234",
    );
}

/// Entries of February to May, observed until June. January was the first month of both cohorts.
const CHANGING: &str = "
    cohort_key  entry_month  observed_month  retained  retained_unbroken
    tag:a       2026-01      2026-01         500       500
    tag:a       2026-02      2026-02         100       100
    tag:a       2026-02      2026-03         60        60
    tag:a       2026-02      2026-04         50        50
    tag:a       2026-02      2026-05         45        45
    tag:a       2026-02      2026-06         40        40
    tag:a       2026-03      2026-03         80        80
    tag:a       2026-03      2026-04         60        60
    tag:a       2026-03      2026-05         54        54
    tag:a       2026-03      2026-06         50        50
    tag:a       2026-04      2026-04         90        90
    tag:a       2026-04      2026-05         70        70
    tag:a       2026-04      2026-06         66        66
    tag:a       2026-05      2026-05         70        70
    tag:a       2026-05      2026-06         50        50
    tag:a       2026-06      2026-06         30        30
    tag:b       2026-01      2026-01         500       500
    tag:b       2026-02      2026-02         100       100
    tag:b       2026-02      2026-03         50        50
    tag:b       2026-02      2026-04         40        40
    tag:b       2026-02      2026-05         30        30
    tag:b       2026-02      2026-06         20        20
    tag:b       2026-03      2026-03         100       100
    tag:b       2026-03      2026-04         48        48
    tag:b       2026-03      2026-05         40        40
    tag:b       2026-03      2026-06         31        31
    tag:b       2026-04      2026-04         100       100
    tag:b       2026-04      2026-05         52        52
    tag:b       2026-04      2026-06         40        40
    tag:b       2026-05      2026-05         100       100
    tag:b       2026-05      2026-06         50        50
    tag:b       2026-06      2026-06         30        30";

#[test]
fn a_change_compares_entrants_of_the_last_three_months_with_earlier_ones() {
    let facts = facts("2026-06", ["a", "b", "c"].map(|letter| cohort(letter, Some("2026-05"))).into());
    let report = judge("retention_change", &[table(CHANGING)], &facts);
    // The entrants of March, April and May are recent. June's entrants had no month yet in which they could depart.
    // A: 20 + 20 + 20, 6 + 4 and 4 recent entrants departed, together 74. 40 + 10 + 5 + 5 = 60 earlier entrants departed.
    // Σ d n_recent / n = 88.945523. The ratio is (74/88.945523) / (60/45.054477) = 0.624733, and its interval is the ratio times
    // and over exp(1.96 √(1/88.945523 + 1/45.054477)). q: 0.001008 · 2/1; 0.924495.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  recent_entrants  earlier_entrants  recent_departed  recent_expected  hazard_ratio
        2026-06  tag:a       A            240              100               74               88.945523        0.624733
        2026-06  tag:b       B            300              100               179              179.5            0.990982
        2026-06  tag:c       C            0                0                 0                0                -",
    );
    assert_shows(
        &report,
        "
        cohort_name  ratio_low  ratio_high  p_value   q_value
        A            0.436556   0.894023    0.001008  0.002016
        B            0.761008   1.290453    0.924495  0.924495
        C            -          -           -         -",
    );
}

#[test]
fn there_is_no_test_for_few_departures_or_unknown_entries() {
    let facts = facts("2026-08", vec![cohort("a", Some("2026-07"))]);
    let report = judge("retention_change", &[table(survival::TRIANGLE)], &facts);
    // The last three months before August are July, June (without known entrants) and April.
    // Recent entrants departed: 3 of July at k = 1, 2 of April at k = 3. Expected are 7 · 4/18 + 2 · 4/4 + 1 · 2/6.
    assert_shows(
        &report,
        "
        recent_entrants  earlier_entrants  recent_departed  recent_expected  hazard_ratio  ratio_low  ratio_high  p_value  q_value
        9                14                5                3.888889         -             -          -           -        -",
    );
}
