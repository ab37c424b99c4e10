use super::*;

/// January was A's first month, and March was not observed.
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
fn each_month_holds_the_whole_triangle_without_the_ages_that_were_not_observed() {
    let facts = facts("2026-04", vec![cohort("a", Some("2026-02")), cohort("b", None)]);
    let report = build("retention", &Inputs { triangle: table(TRIANGLE).lazy(), ..inputs(&facts) }, &facts);
    // Those who entered in January have no age of 2, those of February none of 1. Of January's ten, eight, then seven are
    // there, one of these after a break: 7/10 retained, 6 unbroken. B's only month is its first, and nobody was there.
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
        2026-04  tag:a       A            2026-04      false              0           0         0         0                  -               -         -
        2026-04  tag:b       B            2026-04      true               0           0         0         0                  -               -         -",
    );
}

#[test]
fn ages_are_counted_over_the_turn_of_the_year() {
    let facts = facts("2027-02", vec![cohort("a", Some("2027-01"))]);
    let triangle = table(
        "
        cohort_key  entry_month  observed_month  retained  retained_unbroken
        tag:a       2025-11      2025-11         2         2
        tag:a       2025-11      2027-02         1         0",
    );
    let report = build("retention", &Inputs { triangle: triangle.lazy(), ..inputs(&facts) }, &facts);
    assert_shows(&report, "age_months  retained  retained_unbroken\n 0 2 2\n 15 1 0");
}

#[test]
fn cohorts_without_a_history_have_no_triangle() {
    let facts = facts("2026-04", vec![cohort("b", None)]);
    let triangle = table(TRIANGLE).head(Some(6));
    let report = build("retention", &Inputs { triangle: triangle.lazy(), ..inputs(&facts) }, &facts);
    assert_shows(&report, "cohort_key  age_months");
}
