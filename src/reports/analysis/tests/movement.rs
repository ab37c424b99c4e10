use super::*;

/// The relations of everyone in March, each contact with a signature of its own. `new` was created in March, as `first` was.
const RELATIONS: &str = "
    cohort_key  signature       change      is_gone  is_created_since
    tag:a       a-to-b          departed    false    false
    tag:b       a-to-b          joined      false    false
    tag:a       a-to-none       departed    false    false
    tag:a       a-to-gone       departed    true     false
    tag:a       ab-to-c         departed    false    false
    tag:b       ab-to-c         departed    false    false
    tag:c       ab-to-c         returned    false    false
    tag:a       leaves-a-not-b  departed    false    false
    tag:b       leaves-a-not-b  retained    false    false
    tag:a       adds-b          retained    false    false
    tag:b       adds-b          joined      false    false
    tag:b       there-to-b      joined      false    false
    tag:b       back-to-b       returned    false    false
    tag:b       new-to-bc       joined      false    true
    tag:c       new-to-bc       joined      false    true
    tag:a       a-to-d          departed    false    false
    tag:d       a-to-d          first_seen  false    false
    tag:d       first           first_seen  false    true";

const COUNTS: &str = "
    cohort_key  month    previous_members
    tag:a       2026-02  99
    tag:a       2026-03  7
    tag:b       2026-03  2
    tag:c       2026-03  0
    tag:d       2026-03  -";

fn movement(population: PopulationKind) -> DataFrame {
    let cohorts = [("a", Some("2026-02")), ("b", Some("2026-02")), ("c", Some("2026-02")), ("d", None)];
    let facts = Facts { population, ..facts("2026-03", cohorts.map(|(letter, compared)| cohort(letter, compared)).into()) };
    judge("movement", &[moves(table(RELATIONS), &facts), table(COUNTS)], &facts)
}

/// One contact for each signature.
fn moves(relations: DataFrame, facts: &Facts) -> DataFrame {
    let signatures = relations.column("signature").unwrap().unique_stable().unwrap();
    let one = Column::new("contacts".into(), vec![1_i64; signatures.len()]);
    let sizes = DataFrame::new(signatures.len(), vec![signatures, one]).unwrap();
    counted(&steps::MOVES, vec![(&steps::RELATIONS, relations), (&steps::SIZES, sizes)], facts)
}

#[test]
fn contacts_move_between_cohorts_and_from_and_to_outside_them() {
    // A had seven members in February. One is still in A, one joined B, one joined C, one is in no cohort now, and one is gone. The
    // other two joined nothing and are in another cohort: one was already in B, and one is in D, which nobody can join in its first
    // month. The contact that left A and B for C counts twice. A member of A that joined B without leaving A stayed. The others who
    // joined B came from outside.
    assert_shows(
        &movement(PopulationKind::Everyone),
        "
        month    from_cohort  from_name  to_cohort  to_name   contacts  previous_members  share_of_from
        2026-03  (new)        (new)      tag:b      B         1         -                 -
        2026-03  (new)        (new)      tag:c      C         1         -                 -
        2026-03  (none)       (none)     tag:b      B         2         -                 -
        2026-03  (stayed)     (stayed)   tag:b      B         1         -                 -
        2026-03  tag:a        A          (gone)     (gone)    1         7                 0.142857
        2026-03  tag:a        A          (none)     (none)    1         7                 0.142857
        2026-03  tag:a        A          (stayed)   (stayed)  2         7                 0.285714
        2026-03  tag:a        A          tag:b      B         1         7                 0.142857
        2026-03  tag:a        A          tag:c      C         1         7                 0.142857
        2026-03  tag:b        B          tag:c      C         1         2                 0.5",
    );
}

#[test]
fn gone_contacts_are_known_only_if_everyone_is_observed() {
    let report = movement(PopulationKind::Cohorts);
    assert_shows(
        &only(&report, "from_cohort", "tag:a"),
        "
        to_cohort  contacts  share_of_from
        (none)     2         0.285714
        (stayed)   2         0.285714
        tag:b      1         0.142857
        tag:c      1         0.142857",
    );
}

#[test]
fn without_a_compared_month_there_are_no_rows() {
    let facts = facts("2026-03", vec![cohort("d", None)]);
    let report = judge("movement", &[moves(table(RELATIONS).tail(Some(2)), &facts), table(COUNTS)], &facts);
    assert_shows(&report, "from_cohort to_cohort contacts");
}

#[test]
fn everyone_who_left_or_joined_is_in_a_row() {
    let report = movement(PopulationKind::Everyone);
    let standing = table(RELATIONS);
    let rows = |column: &str, key: &str| only(&report, column, key).column("contacts").unwrap().i64().unwrap().sum().unwrap_or_default();
    let who = |key: &str, changes: &[&str]| {
        let of_cohort = only(&standing, "cohort_key", key);
        of_cohort.column("change").unwrap().str().unwrap().iter().filter(|change| changes.contains(&change.unwrap())).count() as i64
    };
    // Each of these contacts is in one row of the cohort that it left or joined. Only `ab-to-c` is in two rows: it joined C from
    // two cohorts.
    for key in ["tag:a", "tag:b", "tag:c", "tag:d"] {
        assert_eq!(rows("from_cohort", key), who(key, &["departed"]), "from {key}");
        let twice = i64::from(key == "tag:c");
        assert_eq!(rows("to_cohort", key), who(key, &["joined", "returned"]) + twice, "to {key}");
    }
}

#[test]
fn everyone_who_is_followed_counts_once() {
    let mut relations = table(RELATIONS);
    let signatures = relations.column("signature").unwrap().str().unwrap();
    // `a-to-none` departed, so it is not counted as newly unsubscribed.
    let is_newly: Vec<bool> = signatures.iter().map(|signature| matches!(signature, Some("adds-b" | "new-to-bc" | "a-to-none"))).collect();
    relations.with_column(Column::new("is_newly_unsubscribed".into(), is_newly)).unwrap();
    let signatures = relations.column("signature").unwrap().unique_stable().unwrap();
    let each = |name: &str, count: i64| Column::new(name.into(), vec![count; signatures.len()]);
    let sizes = DataFrame::new(signatures.len(), vec![signatures.clone(), each("contacts", 10), each("unsubscribed", 2)]).unwrap();
    let facts = facts("2026-03", vec![cohort("a", Some("2026-02"))]);
    let followed = counted(&steps::FOLLOWED, vec![(&steps::RELATIONS, relations.clone()), (&steps::SIZES, sizes.clone())], &facts);
    // Seventy were in A or B: 90 - 30 - 10 + 20.
    let expected = "
        followed  joined  departed  first_seen  unsubscribed  newly_unsubscribed
        90        30      20        10          18            20";
    assert_shows(&followed, expected);
    let nobody = counted(&steps::FOLLOWED, vec![(&steps::RELATIONS, relations.clear()), (&steps::SIZES, sizes.clear())], &facts);
    assert_shows(&nobody, "followed  joined  departed  first_seen  unsubscribed  newly_unsubscribed\n 0 0 0 0 0 0");
}
