use super::*;

#[test]
fn survival_is_kaplan_meier_with_gaps_and_present_members_censored() {
    let facts = facts("2026-06", ["a", "b", "c", "d"].map(|letter| cohort(letter, Some("2026-05"))).into());
    let spells = table(
        "
        cohort_key  duration_months  departed  censored_at_gap  still_members
        tag:a       1                2         1                1
        tag:a       2                1         0                1
        tag:a       4                0         0                1
        tag:b       1                0         0                2
        tag:c       1                1         0                0
        tag:c       2                1         0                0
        tag:gone    1                9         0                0",
    );
    let report = build("membership_survival", &Inputs { spells: spells.lazy(), ..inputs(&facts) }, &facts);
    // A: seven spells. After a month 2 of 7 have left: 5/7, and the two censored are at risk no more. Then 1 of 3:
    // 5/7 · 2/3 = 10/21; nothing happens at 3 months, and the last one is followed for 4.
    // Greenwood's sum is 2/(7·5), then + 1/(3·2); the ends are S^exp(±1.96 √V / ln S).
    // B: nobody has left, [1, 1]. C: both left, one after the other: 1/2, then 0 with [0, 0]. D had no spells yet.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  duration_months  at_risk  departed  censored  survival  survival_low  survival_high
        2026-06  tag:a       A            1                7        2         2         0.714286  0.258154      0.919797
        2026-06  tag:a       A            2                3        1         1         0.47619   0.075099      0.80846
        2026-06  tag:a       A            3                1        0         0         0.47619   0.075099      0.80846
        2026-06  tag:a       A            4                1        0         1         0.47619   0.075099      0.80846
        2026-06  tag:b       B            1                2        0         2         1         1             1
        2026-06  tag:c       C            1                2        1         0         0.5       0.005983      0.91041
        2026-06  tag:c       C            2                1        1         0         0         0             0",
    );
}
