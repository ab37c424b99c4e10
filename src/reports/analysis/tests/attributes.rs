use super::*;

/// Of 20 users, 8 are on pro, 10 on free, and 2 have no plan. There are also ten leads. A has six users and no leads.
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
    judge("attribute_profile", &[profiles], &facts)
}

/// The table with the column names of [`PLANS`] and with these lines.
fn profiles(lines: &str) -> DataFrame {
    table(&format!("month cohort_key attribute role value:text value_number:ratio contacts\n{lines}"))
}

#[test]
fn others_are_contacts_outside_the_cohort_with_a_role_that_members_have() {
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS));
    // A has no leads, so A is compared with the 14 other users: 10 - 1 on free, 8 - 5 on pro, 2 - 0 without a plan.
    // pro: 5/6 of the known members against 3/12 of the known others is 10/3, with Katz's interval. The odds are (5 · 9) / (1 · 3),
    // with Woolf's interval. The least expected cell is 6 · 8 / 18 < 5, so p is that of the exact test of [5 1 | 3 9]. free has the
    // same table with the sides exchanged.
    // unknown: 0 of all 6 and 2 of all 14 give no interval. This is the most probable table, so p = 1.
    // q: 0.042986 · 3/2 twice, and 1.
    assert_shows(
        &report,
        "
        month    cohort_key  cohort_name  attribute  value      members  members_known  member_share  others  others_known  other_share
        2026-03  tag:a       A            plan       (unknown)  0        6              0             2       12            0.142857
        2026-03  tag:a       A            plan       free       1        6              0.166667      9       12            0.75
        2026-03  tag:a       A            plan       pro        5        6              0.833333      3       12            0.25",
    );
    assert_shows(
        &report,
        "
        value      lift      lift_low  lift_high  odds_ratio  odds_low  odds_high   p_value   q_value
        (unknown)  0         -         -          0           -         -           1         1
        free       0.222222  0.03605   1.369838   0.066667    0.0054    0.823104    0.042986  0.06448
        pro        3.333333  1.174335  9.461617   15          1.214913  185.198372  0.042986  0.06448",
    );
    assert_shows(&report, "previous_members previous_known previous_share share_change\n - - - -\n - - - -\n - - - -");
}

#[test]
fn if_the_cohort_has_leads_other_leads_are_compared_too() {
    let lead = profiles("2026-03 tag:a '' lead - - 1\n 2026-03 tag:a plan lead free - 1");
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS).vstack(&lead).unwrap());
    // Of 30 contacts, 7 are members and 23 are others. There is a table for each role. pro: users [5 1 | 3 9], leads [0 1 | 2 5].
    // Mantel and Haenszel: lift (5 · 12/18 + 0) / (3 · 6/18 + 2 · 1/8), odds (5 · 9/18 + 0) / (1 · 3/18 + 1 · 2/8).
    // The exact test combines the draws of both tables. The value of 2 users and 2 leads is unknown. Its shares are of all 7
    // members and of all 23 others.
    assert_shows(
        &report,
        "
        value      members  members_known  member_share  others  others_known  other_share
        (unknown)  0        7              0             4       19            0.173913
        free       2        7              0.285714      14      19            0.736842
        pro        5        7              0.714286      5       19            0.263158",
    );
    assert_shows(
        &report,
        "
        value      lift      lift_low  lift_high  odds_ratio  odds_low  odds_high  p_value   q_value
        (unknown)  0         -         -          0           -         -          0.550526  0.550526
        free       0.425287  0.141869  1.274907   0.166667    0.02502   1.110223   0.082579  0.123869
        pro        2.666667  0.94673   7.511238   6           0.90072   39.968042  0.082579  0.123869",
    );
}

#[test]
fn large_strata_are_tested_together() {
    let report = profile(
        vec![cohort("a", None)],
        &["plan"],
        profiles(
            "
            2026-03 ''    ''   user -    - 140
            2026-03 ''    ''   lead -    - 120
            2026-03 ''    plan user pro  - 54
            2026-03 ''    plan user free - 86
            2026-03 ''    plan lead pro  - 25
            2026-03 ''    plan lead free - 95
            2026-03 tag:a ''   user -    - 40
            2026-03 tag:a ''   lead -    - 20
            2026-03 tag:a plan user pro  - 24
            2026-03 tag:a plan user free - 16
            2026-03 tag:a plan lead pro  - 5
            2026-03 tag:a plan lead free - 15",
        ),
    );
    // Users are [24 16 | 30 70], leads [5 15 | 20 80]. Without roles, 29 of 60 against 50 of 200 would be 1.93 times as often, but
    // A has more users. The expected values are from scipy's chi2 over Cochran's sums, and from the formulas of Greenland and
    // Robins, and of Robins, Breslow and Greenland.
    assert_shows(
        &report,
        "
        value  members  others  lift      lift_low  lift_high  odds_ratio  odds_low  odds_high  p_value  q_value
        free   31       150     0.717857  0.560322  0.919683   0.386646    0.209343  0.714116   0.00239  0.00239
        pro    29       50      1.79      1.24995   2.563382   2.586345    1.400333  4.776852   0.00239  0.00239",
    );
}

#[test]
fn large_tables_are_tested_by_chi_square_and_q_is_over_all_of_the_cohorts_rows() {
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
    // 30 and 20 of 50 members against 20 and 30 of 50 others: χ² = 99 (30² - 20²)² / 50⁴ = 3.96, p = 0.046594. Macs are 30 of 50 on
    // both sides. Two of the four p are 0.046594, so q = 0.046594 · 4/2.
    assert_shows(
        &report,
        "
        attribute  value  members  others  lift      lift_low  lift_high  odds_ratio  odds_low  odds_high  p_value   q_value
        os         mac    30       30      1         0.726105  1.377211   1           0.449261  2.225879   1         1
        os         win    20       20      1         0.618727  1.616222   1           0.449261  2.225879   1         1
        plan       free   20       30      0.666667  0.44332   1.002537   0.444444    0.199671  0.98928    0.046594  0.093187
        plan       pro    30       20      1.5       0.997469  2.255709   2.25        1.010837  5.008228   0.046594  0.093187",
    );
}

#[test]
fn q_does_not_depend_on_other_cohorts() {
    let report = profile(
        vec![cohort("a", None), cohort("b", None)],
        &["plan"],
        profiles(
            "
            2026-03 ''    ''   user -    - 100
            2026-03 ''    plan user pro  - 50
            2026-03 ''    plan user free - 50
            2026-03 tag:a ''   user -    - 50
            2026-03 tag:a plan user pro  - 30
            2026-03 tag:a plan user free - 20
            2026-03 tag:b ''   user -    - 50
            2026-03 tag:b plan user pro  - 25
            2026-03 tag:b plan user free - 25",
        ),
    );
    // A's two p are 0.046594, B's are 1. If q were over the whole report, A's q would be 0.093187.
    assert_shows(
        &report,
        "
        cohort_key  value  p_value   q_value
        tag:a       free   0.046594  0.046594
        tag:a       pro    0.046594  0.046594
        tag:b       free   1         1
        tag:b       pro    1         1",
    );
}

#[test]
fn without_members_or_others_there_is_no_comparison() {
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
    // A has everyone. B has nobody, and so no role. One of C's two members has a value that no other contact has. The other member
    // has a value that all others have.
    assert_shows(
        &report,
        "
        cohort_key  value  members  members_known  member_share  others  others_known  other_share  lift  lift_low  lift_high  odds_ratio  odds_low  odds_high  p_value  q_value
        tag:a       free   3        4              0.75          0       0             -            -     -         -          -           -         -          -        -
        tag:a       pro    1        4              0.25          0       0             -            -     -         -          -           -         -          -        -
        tag:b       free   0        0              -             0       0             -            -     -         -          -           -         -          -        -
        tag:b       pro    0        0              -             0       0             -            -     -         -          -           -         -          -        -
        tag:c       free   1        2              0.5           2       2             1            0.5   0.125049  1.999219   0           -         -          1        1
        tag:c       pro    1        2              0.5           0       2             0            -     -         -          -           -         -          1        1",
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
    // A in February: of the three members with a known value, two were on pro and none on free. One of all four is unknown. team
    // has no row, because nobody has it now. B is compared with January, when both members were on pro. C was empty in February.
    assert_shows(
        &report,
        "
        cohort_key  value      member_share  previous_members  previous_known  previous_share  share_change
        tag:a       (unknown)  0             1                 3               0.25            -0.25
        tag:a       free       0.166667      0                 3               0               0.166667
        tag:a       pro        0.833333      2                 3               0.666667        0.166667
        tag:b       (unknown)  0             0                 2               0               0
        tag:b       free       1             0                 2               0               1
        tag:b       pro        0             2                 2               1               -1
        tag:c       (unknown)  0             0                 0               -               -
        tag:c       free       0             0                 0               -               -
        tag:c       pro        1             0                 0               -               -",
    );
}

#[test]
fn the_fifty_most_frequent_values_have_a_row_and_ties_are_in_order() {
    // v00 to v51 occur twice each, and `zz` three times: so v00 to v48 and `zz` have rows.
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
    // The rest is v49, v50 and v51: six contacts. The two contacts with v51 are members.
    assert_shows(
        &only(&report, "value", "(other)"),
        "
        members  members_known  member_share  others  others_known  other_share
        2        4              0.5           4       103           0.038835",
    );
    assert_shows(&only(&report, "value", "zz"), "members others\n 1 2");
}

#[test]
fn values_that_equal_the_labels_are_counted_with_them() {
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
    // One of ten contacts has no value, and two have the label as their value. So three are unknown, and two of the three are
    // members. The values of the other 2 members and 5 others are known.
    assert_shows(
        &report,
        "
        value      members  members_known  member_share  others  others_known  other_share
        (other)    1        2              0.5           2       5             0.4
        (unknown)  2        2              0.5           1       5             0.166667
        pro        1        2              0.5           3       5             0.6",
    );
}

#[test]
fn an_attribute_that_nobody_has_is_unknown_for_everyone() {
    let report = profile(vec![cohort("a", None)], &["plan", "typo"], table(PLANS));
    // All values are unknown. A half is added to each cell, because some cells are 0: 6.5/7 against 14.5/15.
    assert_shows(
        &only(&report, "attribute", "typo"),
        "
        value      members  members_known  member_share  others  others_known  other_share  lift      lift_low  lift_high  odds_ratio  p_value
        (unknown)  6        0              1             14      0             1            0.960591  0.766334  1.20409    0.448276    1",
    );
    // A month without contacts has no rows.
    let report = profile(vec![cohort("a", None)], &["plan"], table(PLANS).clear());
    assert_shows(&report, "cohort_key  value");
}

#[test]
fn ten_thousand_values_give_fifty_rows_and_the_rest() {
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
