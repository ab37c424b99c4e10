use super::*;

/// Of 20 users 8 are on pro, 10 on free, 2 on nothing; there are ten leads as well. A has six users, no leads.
const PLANS: &str = "
    month    cohort_key  attribute  role  value:text  value_number:ratio  contacts
    2026-03  ''          ''         lead  -           -                   10
    2026-03  ''          ''         user  -           -                   20
    2026-03  ''          plan       lead  free        -                   6
    2026-03  ''          plan       lead  pro         -                   2
    2026-03  ''          plan       user  free        -                   10
    2026-03  ''          plan       user  pro         -                   8
    2026-03  tag:a       ''         user  -           -                   6
    2026-03  tag:a       plan       user  free        -                   1
    2026-03  tag:a       plan       user  pro         -                   5";

fn profile(cohorts: Vec<CohortFacts>, attributes: &[&str], profiles: DataFrame) -> DataFrame {
    let facts = Facts { profile: attributes.iter().map(|name| name.to_string()).collect(), ..facts("2026-03", cohorts) };
    build("attribute_profile", &Inputs { profiles: profiles.lazy(), ..inputs(&facts) }, &facts)
}

/// `lines` after the line of names of [`PLANS`].
fn profiles(lines: &str) -> DataFrame {
    table(&format!("month cohort_key attribute role value:text value_number:ratio contacts\n{lines}"))
}

#[test]
fn others_are_the_population_without_the_cohort_of_the_roles_that_occur_in_it() {
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS));
    // No lead is in A, so the 14 other users are compared with: 10 - 1 on free, 8 - 5 on pro, 2 - 0 on nothing.
    // pro: 5/6 against 3/14 is 35/9; odds (5 · 11) / (1 · 3). The least expected cell is 6 · 8 / 20 < 5: Fisher. Of C(20, 6) =
    // 38760 draws, 672 have five pros, 28 six, and no other number is as rare: p = 700/38760.
    // free: 1/6 against 9/14; odds (1 · 5) / (5 · 9); p = 5460/38760.
    // unknown: 0.5 is added to each cell: (0.5 · 12.5) / (6.5 · 2.5); as probable as it gets: p = 1.
    // q: 0.01806 · 3/1, 0.140867 · 3/2, 1.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  attribute  value      members  member_share  others  other_share  lift
        2026-03  tag:a       A            plan       (unknown)  0        0             2       0.142857     0
        2026-03  tag:a       A            plan       free       1        0.166667      9       0.642857     0.259259
        2026-03  tag:a       A            plan       pro        5        0.833333      3       0.214286     3.888889",
    );
    assert_shows(
        &report,
        "
        value      odds_ratio  odds_low  odds_high   p_value   q_value   previous_share  share_change
        (unknown)  0.384615    0.015981  9.256623    1         1         -               -
        free       0.111111    0.009986  1.236278    0.140867  0.2113    -               -
        pro        18.333333   1.508069  222.875225  0.01806   0.05418   -               -",
    );
}

#[test]
fn with_leads_among_the_members_other_leads_are_compared_with_too() {
    let lead = profiles("2026-03 tag:a '' lead - - 1\n 2026-03 tag:a plan lead free - 1");
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS).vstack(&lead).unwrap());
    // 30 contacts, 7 members: 23 others. Nothing is known of 2 users and 2 leads.
    assert_shows(
        &report,
        "
        value      members  member_share  others  other_share
        (unknown)  0        0             4       0.173913
        free       2        0.285714      14      0.608696
        pro        5        0.714286      5       0.217391",
    );
}

#[test]
fn large_tables_are_tested_by_chi_square_and_q_is_over_all_rows() {
    let report = profile(
        vec![cohort("a", None)],
        &["plan", "os"],
        profiles(
            "
            2026-03 ''    ''   user -    - 100
            2026-03 ''    plan user pro  - 50
            2026-03 ''    plan user free - 50
            2026-03 ''    os   user mac  - 60
            2026-03 ''    os   user win  - 40
            2026-03 tag:a ''   user -    - 50
            2026-03 tag:a plan user pro  - 30
            2026-03 tag:a plan user free - 20
            2026-03 tag:a os   user mac  - 30
            2026-03 tag:a os   user win  - 20",
        ),
    );
    // 30 and 20 of 50 against 20 and 30 of 50: χ² = 100 (30² - 20²)² / 50⁴ = 4, p = 0.0455. Macs: 30 of 50 in both.
    // Of four p, two are 0.0455: q = 0.0455 · 4/2.
    assert_shows(
        &report,
        "
        attribute  value  members  others  lift      odds_ratio  odds_low  odds_high  p_value  q_value
        os         mac    30       30      1         1           0.449261  2.225879   1        1
        os         win    20       20      1         1           0.449261  2.225879   1        1
        plan       free   20       30      0.666667  0.444444    0.199671  0.98928    0.0455   0.091001
        plan       pro    30       20      1.5       2.25        1.010837  5.008228   0.0455   0.091001",
    );
}

#[test]
fn nothing_is_compared_without_members_or_without_others() {
    let cohorts = ["a", "b", "c"].map(|letter| cohort(letter, None));
    let report = profile(
        cohorts.into(),
        &["plan"],
        profiles(
            "
            2026-03 ''    ''   user -    - 4
            2026-03 ''    plan user free - 3
            2026-03 ''    plan user pro  - 1
            2026-03 tag:a ''   user -    - 4
            2026-03 tag:a plan user free - 3
            2026-03 tag:a plan user pro  - 1
            2026-03 tag:c ''   user -    - 2
            2026-03 tag:c plan user free - 1
            2026-03 tag:c plan user pro  - 1",
        ),
    );
    // A is everyone, B is nobody: no role occurs in it. No other has what one of C's members has.
    assert_shows(
        &report,
        "
        cohort_key  value  members  member_share  others  other_share  lift  odds_ratio  odds_low  odds_high  p_value  q_value
        tag:a       free   3        0.75          0       -            -     -           -         -          -        -
        tag:a       pro    1        0.25          0       -            -     -           -         -          -        -
        tag:b       free   0        -             0       -            -     -           -         -          -        -
        tag:b       pro    0        -             0       -            -     -           -         -          -        -
        tag:c       free   1        0.5           2       1            0.5   0.2         0.004533  8.824856   1        1
        tag:c       pro    1        0.5           0       0            -     5           0.113316  220.621401  1       1",
    );
}

#[test]
fn shares_of_the_compared_month_are_the_cohorts_own() {
    let cohorts = vec![cohort("a", Some("2026-02")), cohort("b", Some("2026-01")), cohort("c", Some("2026-02"))];
    let report = profile(
        cohorts,
        &["plan"],
        table(PLANS)
            .vstack(&profiles(
                "
                2026-01 tag:a ''   user -    - 1
                2026-01 tag:a plan user pro  - 1
                2026-02 tag:a ''   user -    - 4
                2026-02 tag:a plan user pro  - 2
                2026-02 tag:a plan user team - 1
                2026-01 tag:b ''   user -    - 2
                2026-01 tag:b plan user pro  - 2
                2026-03 tag:b ''   user -    - 1
                2026-03 tag:b plan user free - 1
                2026-03 tag:c ''   user -    - 1
                2026-03 tag:c plan user pro  - 1",
            ))
            .unwrap(),
    );
    // A in February: two of four were on pro, none on free, nothing is known of one; team has no row, since nobody has it now.
    // B's p is January: both were on pro. C was empty in February.
    assert_shows(
        &report,
        "
        cohort_key  value      member_share  previous_share  share_change
        tag:a       (unknown)  0             0.25            -0.25
        tag:a       free       0.166667      0               0.166667
        tag:a       pro        0.833333      0.5             0.333333
        tag:b       (unknown)  0             0               0
        tag:b       free       1             0               1
        tag:b       pro        0             1               -1
        tag:c       (unknown)  0             -               -
        tag:c       free       0             -               -
        tag:c       pro        1             -               -",
    );
}

#[test]
fn the_fifty_most_frequent_values_have_a_row_ties_by_value() {
    // v00 to v51 twice each, and `zz` three times: v00 to v48 fit beside it.
    let mut lines = "2026-03 '' '' user - - 107\n 2026-03 tag:a '' user - - 4\n 2026-03 '' plan user zz - 3\n".to_string();
    for value in 0..52 {
        lines += &format!("2026-03 '' plan user v{value:02} - 2\n");
    }
    lines += "2026-03 tag:a plan user v51 - 2\n 2026-03 tag:a plan user v00 - 1\n 2026-03 tag:a plan user zz - 1";
    let report = profile(vec![cohort("a", None)], &["plan"], profiles(&lines));
    let values: Vec<String> = report.column("value").unwrap().str().unwrap().iter().map(|value| value.unwrap().to_string()).collect();
    let expected: Vec<String> =
        std::iter::once("(other)".to_string()).chain((0..49).map(|value| format!("v{value:02}"))).chain(["zz".to_string()]).collect();
    assert_eq!(values, expected);
    // The rest: v49, v50 and v51, six contacts, of whom the two with v51 are members.
    assert_shows(
        &only(&report, "value", "(other)"),
        "
        members  member_share  others  other_share
        2        0.5           4       0.038835",
    );
    assert_shows(&only(&report, "value", "zz"), "members others\n 1 2");
}

#[test]
fn values_that_look_like_the_remainders_are_counted_with_them() {
    let report = profile(
        vec![cohort("a", None)],
        &["plan"],
        profiles(
            "
            2026-03 ''    ''   user -         - 10
            2026-03 ''    plan user (other)   - 3
            2026-03 ''    plan user (unknown) - 2
            2026-03 ''    plan user pro       - 4
            2026-03 tag:a ''   user -         - 4
            2026-03 tag:a plan user (other)   - 1
            2026-03 tag:a plan user (unknown) - 1
            2026-03 tag:a plan user pro       - 1",
        ),
    );
    // Of ten, one has nothing: with the two called so, three are unknown; of the four members, two.
    assert_shows(
        &report,
        "
        value      members  member_share  others  other_share
        (other)    1        0.25          2       0.333333
        (unknown)  2        0.5           1       0.166667
        pro        1        0.25          3       0.5",
    );
}

#[test]
fn an_attribute_that_nobody_has_is_unknown_of_everyone() {
    let report = profile(vec![cohort("a", None)], &["plan", "typo"], table(PLANS));
    assert_shows(
        &only(&report, "attribute", "typo"),
        "
        value      members  member_share  others  other_share  lift  odds_ratio  p_value
        (unknown)  6        1             14      1            1     0.448276    1",
    );
    // Nor does anything come of a month in which nobody is observed at all.
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS).clear());
    assert_shows(&report, "cohort_key  value");
}

#[test]
fn ten_thousand_values_give_fifty_and_the_rest() {
    let n = 10_000;
    let value = |index: usize| (index > 0).then(|| format!("id-{index:05}"));
    let population = |key: &str, rows: &[usize]| {
        let columns = vec![
            Column::new("month".into(), vec![month("2026-03").first_day(); rows.len()]),
            Column::new("cohort_key".into(), vec![key; rows.len()]),
            Column::new("attribute".into(), rows.iter().map(|row| if *row == 0 { "" } else { "serial" }).collect::<Vec<_>>()),
            Column::new("role".into(), vec!["user"; rows.len()]),
            Column::new("value".into(), rows.iter().map(|row| value(*row)).collect::<Vec<_>>()),
            Column::new("value_number".into(), vec![None::<f64>; rows.len()]),
            Column::new("contacts".into(), rows.iter().map(|row| if *row == 0 { n } else { 1 }).collect::<Vec<i64>>()),
        ];
        DataFrame::new(rows.len(), columns).unwrap()
    };
    let everyone: Vec<usize> = (0..=10_000).collect();
    let members = profiles("2026-03 tag:a '' user - - 3").vstack(&population("tag:a", &[1, 9_998, 9_999])).unwrap();
    let report = profile(vec![cohort("a", None)], &["serial"], population("", &everyone).vstack(&members).unwrap());
    assert_eq!(report.height(), 51);
    assert_shows(&only(&report, "value", "(other)"), "members others\n 2 9948");
    assert_shows(&only(&report, "value", "id-00001"), "members others\n 1 0");
}
