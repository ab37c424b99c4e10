use super::*;

/// The findings about a group that was changed before the last of these months. In the last month it has `last` members.
fn found(months: usize, last: i64) -> DataFrame {
    let facts = facts("2026-10", vec![cohort("a", Some("2026-09"))]);
    let first = Month::from_index(facts.month.index() - months as i64 + 1);
    // The group grows by nine to eleven members a month, before the last one.
    let mut members: Vec<i64> = (0..months as i64).map(|month| 100 + 10 * month + month % 2).collect();
    *members.last_mut().unwrap() = last;
    let mut counts = counts(months_in_a_row("a", &first.to_string(), &[("members", &members)]));
    let dates = (0..months).map(|month| Some(DateTime::from_timestamp(if month + 1 == months { 2_000 } else { 1_000 }, 0).unwrap()));
    counts.with_column(table::instants("definition_updated_at", dates)).unwrap();
    only(&judge("data_quality", &[steps::QUALITY.empty(), counts], &facts), "check_name", "definition_may_have_changed")
}

#[test]
fn a_changed_group_is_a_warning_if_its_size_is_not_what_was_expected() {
    let finding = |severity: &str| format!("severity subject value expected\n {severity} tag:a 1970-01-01T00:33:20Z 1970-01-01T00:16:40Z");
    assert_shows(&found(9, 180), &finding("info"));
    assert_shows(&found(9, 400), &finding("warning"));
    // With few months, nothing is expected.
    assert_shows(&found(3, 400), &finding("info"));
}
