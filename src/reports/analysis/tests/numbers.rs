use super::*;

fn profile(lines: &str) -> DataFrame {
    let cohorts = ["a", "b", "c"].map(|letter| cohort(letter, None)).into();
    let facts = Facts { profile: vec!["seats".to_string(), "plan".to_string()], ..facts("2026-03", cohorts) };
    let profiles = table(&format!("month cohort_key attribute role value:text value_number:ratio contacts\n{lines}"));
    judge("numeric_profile", &[profiles], &facts)
}

/// Ten of twelve users have seats: 1, 2, 2, 5 (four times, once as 5.0), 7, 7 and 10. A's members are one user each with 5, 5.0, 7
/// and 10 seats, and one without seats. The lead's hundred seats are not in the comparison.
const SEATS: &str = "
    2026-03 ''    ''    user -    -    12
    2026-03 ''    ''    lead -    -    1
    2026-03 ''    seats user 1    1    1
    2026-03 ''    seats user 2    2    2
    2026-03 ''    seats user 5    5    3
    2026-03 ''    seats user 5.0  5    1
    2026-03 ''    seats user 7    7    2
    2026-03 ''    seats user 10   10   1
    2026-03 ''    seats lead 100  100  1
    2026-03 tag:a ''    user -    -    5
    2026-03 tag:a seats user 5    5    1
    2026-03 tag:a seats user 5.0  5    1
    2026-03 tag:a seats user 7    7    1
    2026-03 tag:a seats user 10   10   1
    2026-03 tag:b ''    user -    -    1";

#[test]
fn values_of_members_are_described_and_compared_with_others() {
    // Members have 5, 5, 7, 10: the mean is 27/4, and the positions 0.3, 1.5 and 2.7 are 5, 6 and 7 + 0.7 · 3.
    // Others have 1, 2, 2, 5, 5, 7: the median is 3.5.
    // U: each 5 is larger than three of the six others and equal to two. 7 is larger than five and equal to one. 10 is larger than
    // all. So U is 4 + 4 + 5.5 + 6 = 19.5, and 2 · 19.5 / 24 - 1 = 0.625.
    // Ties of 2, 4 and 2 give 6 + 60 + 6 = 72. The variance is 24/12 · (11 - 72/90) = 20.4, and z = (19.5 - 12 - 0.5) / √20.4 =
    // 1.549826: p = 0.121183. There is one number for each cohort, so q = p.
    // Brunner and Munzel's t has 7.93 degrees of freedom. The upper end is cut to 1. Nobody in B has a value, and C is empty.
    assert_shows(
        &profile(SEATS),
        "
        month    cohort_key  cohort_name  attribute  members  mean  p10  median  p90  others  others_median
        2026-03  tag:a       A            seats      4        6.75  5    6       9.1  6       3.5
        2026-03  tag:b       B            seats      0        -     -    -       -    10      5
        2026-03  tag:c       C            seats      0        -     -    -       -    0       -",
    );
    assert_shows(
        &profile(SEATS),
        "
        cohort_name  cliffs_delta  delta_low  delta_high  p_value   q_value
        A            0.625         0.013331   1           0.121183  0.121183
        B            -             -          -           -         -
        C            -             -          -           -         -",
    );
}

#[test]
fn a_mixed_attribute_is_a_finding() {
    let with_text = format!("{SEATS}\n 2026-03 '' seats lead many - 3\n 2026-03 '' plan user pro - 4");
    let facts = Facts { profile: vec!["seats".to_string(), "plan".to_string()], ..facts("2026-03", vec![cohort("a", None)]) };
    // Some contacts have a text with the same characters as another contact's number.
    let found = |lines: &str, numbers_of_texts: i64| {
        let profiles = table(&format!("month cohort_key attribute role value:text value_number:ratio contacts\n{lines}"))
            .lazy()
            .with_column(when(col("value_number").is_null()).then(lit(numbers_of_texts)).otherwise(col("contacts")).alias("numbers"));
        let given: Vec<(&'static Table, DataFrame)> = vec![
            (&history::PROFILES, profiles.collect().unwrap()),
            (&archive::snapshot::MEMBERS, table("cohort_key:text contact_id:text")),
            (&archive::snapshot::CONTACTS, table("contact_id:text created_at:instant")),
            (&steps::OPENED, table("contact_id:text conversations:count")),
        ];
        only(
            &judge("data_quality", &[counted(&steps::QUALITY, given, &facts), history::COUNTS.empty()], &facts),
            "check_name",
            "mixed_attribute",
        )
    };
    assert_shows(&found(&with_text, 0), "month severity check_name subject value expected\n 2026-03 warning mixed_attribute seats 3 0");
    // An attribute with only numbers or only texts is no finding.
    let apart = format!("{SEATS}\n 2026-03 '' plan user pro - 4");
    assert_shows(&found(&apart, 0), "subject");
    assert_shows(&found(&apart, 1), "subject value\n plan 3");
}

#[test]
fn conversations_of_unknown_contacts_are_a_warning_if_they_are_more_than_usual() {
    let severity = |opened: &str, population: PopulationKind| {
        let facts = Facts { population, ..facts("2026-03", vec![cohort("a", None)]) };
        let given: Vec<(&'static Table, DataFrame)> = vec![
            (&history::PROFILES, table("month:day cohort_key:text attribute:text value:text contacts:count numbers:count")),
            (&archive::snapshot::MEMBERS, table("cohort_key:text contact_id:text")),
            (&archive::snapshot::CONTACTS, table("contact_id:text created_at\n known 2026-01-01T00:00:00Z")),
            (&steps::OPENED, table(&format!("contact_id:text conversations:count\n{opened}"))),
        ];
        let found = judge("data_quality", &[counted(&steps::QUALITY, given, &facts), history::COUNTS.empty()], &facts);
        let found = only(&found, "check_name", "opened_by_unknown_contact");
        (0..found.height()).map(|row| table::Rows(&found).text("severity", row).unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(severity("known 99\n unknown 1", PopulationKind::Everyone), ["info"]);
    assert_eq!(severity("known 98\n unknown 1", PopulationKind::Everyone), ["warning"]);
    assert_eq!(severity("known 1\n unknown 9", PopulationKind::Cohorts), ["info"]);
    assert_eq!(severity("known 9", PopulationKind::Everyone), [""; 0]);
}

#[test]
fn an_attribute_with_a_value_that_is_not_a_number_has_no_row() {
    // This is so even if another contact has the same characters as a number.
    assert_shows(&profile(&format!("{SEATS}\n 2026-03 '' seats lead many - 1")), "cohort_key attribute");
    for (first, second) in [("5", "-"), ("-", "5")] {
        let lines = format!(
            "
            2026-03 ''    ''    user -  -        2
            2026-03 ''    seats user 5  {first}  1
            2026-03 ''    seats user 5  {second} 1
            2026-03 tag:a ''    user -  -        1
            2026-03 tag:a seats user 5  5        1"
        );
        assert_shows(&profile(&lines), "cohort_key attribute");
    }
}

#[test]
fn an_attribute_that_nobody_has_has_no_row() {
    assert_shows(&profile("2026-03 '' '' user - - 2\n 2026-03 tag:a '' user - - 1"), "cohort_key attribute");
}

#[test]
fn a_zero_is_a_zero_with_either_sign() {
    let report = profile(
        "
        2026-03 ''    ''    user -    -  4
        2026-03 ''    seats user 0    0  2
        2026-03 ''    seats user -0.0 -0 2
        2026-03 tag:a ''    user -    -  2
        2026-03 tag:a seats user 0    0  1
        2026-03 tag:a seats user -0.0 -0 1",
    );
    assert_shows(&only(&report, "cohort_key", "tag:a"), "members others median cliffs_delta delta_low delta_high p_value\n 2 2 0 0 - - 1");
}
