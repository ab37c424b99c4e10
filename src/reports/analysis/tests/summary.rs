use super::*;

#[test]
fn rates_are_null_if_their_whole_is_zero() {
    let facts = facts("2026-02", ["a", "b", "c"].map(|letter| cohort(letter, Some("2026-01"))).into());
    let counts = counts(table(
        "
        cohort_key  month    in_history  members  active_members  openers  unsubscribed  previous_members  retained  departed  joined  net_change
        tag:a       2026-01  true        8        1               1        1             -                 -         -         -       -
        tag:a       2026-02  true        9        3               2        1             8                 6         2         3       1
        tag:b       2026-02  true        0        0               -        0             4                 0         4         0       -4
        tag:c       2026-02  true        5        -               5        0             0                 0         0         5       5",
    ));
    let summary = judge("cohort_summary", &[counts], &facts);
    // A's rates are 1/8, 6/8, 2/8, 3/2; 3/9, 2/9, 1/9. B is empty now. C was empty before, so nobody left it.
    assert_shows(
        &summary,
        "
        month    cohort_key  cohort_name  members  growth_rate  retention_rate  churn_rate  quick_ratio  active_rate  opener_rate  unsubscribed_rate
        2026-02  tag:a       A            9        0.125        0.75            0.25        1.5          0.333333     0.222222     0.111111
        2026-02  tag:b       B            0        -1           0               1           0            -            -            -
        2026-02  tag:c       C            5        -            -               -           -            -            1            0",
    );
}

#[test]
fn a_cohort_without_an_earlier_month_has_no_flows() {
    let facts = facts("2026-02", vec![cohort("a", None)]);
    let counts = counts(table("cohort_key month in_history members\n tag:a 2026-02 true 3"));
    let summary = judge("cohort_summary", &[counts], &facts);
    assert_shows(
        &summary,
        "
        members  compared_month  previous_members  retained  joined  departed  net_change  growth_rate  retention_rate  churn_rate  quick_ratio
        3        -               -                 -         -       -         -           -            -               -           -",
    );
}
