use super::*;

/// The cohorts of everyone in February and March. `there` was created long ago, `new` in March.
const STANDING: &str = "
    cohort_key  contact_id      change      is_gone
    tag:a       a-to-b          departed    false
    tag:b       a-to-b          joined      false
    tag:a       a-to-none       departed    false
    tag:a       a-to-gone       departed    true
    tag:a       ab-to-c         departed    false
    tag:b       ab-to-c         departed    false
    tag:c       ab-to-c         returned    false
    tag:a       leaves-a-not-b  departed    false
    tag:b       leaves-a-not-b  retained    false
    tag:a       adds-b          retained    false
    tag:b       adds-b          joined      false
    tag:b       there-to-b      joined      false
    tag:b       back-to-b       returned    false
    tag:b       new-to-bc       joined      false
    tag:c       new-to-bc       joined      false
    tag:a       a-to-d          departed    false
    tag:d       a-to-d          first_seen  false
    tag:d       first           first_seen  false";

const CONTACTS: &str = "
    contact_id      created_at
    a-to-b          2025-01-01T00:00:00Z
    a-to-none       2025-01-01T00:00:00Z
    a-to-d          2025-01-01T00:00:00Z
    ab-to-c         2025-01-01T00:00:00Z
    leaves-a-not-b  2025-01-01T00:00:00Z
    adds-b          2025-01-01T00:00:00Z
    there-to-b      2026-02-28T23:59:59Z
    back-to-b       -
    new-to-bc       2026-03-01T00:00:00Z
    first           2026-03-01T00:00:00Z";

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
    let (standing, contacts, counts) = (table(STANDING).lazy(), table(CONTACTS).lazy(), table(COUNTS).lazy());
    build("movement", &Inputs { standing, contacts, counts, ..inputs(&facts) }, &facts)
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
    let (standing, contacts, counts) = (table(STANDING).tail(Some(2)).lazy(), table(CONTACTS).lazy(), table(COUNTS).lazy());
    let report = build("movement", &Inputs { standing, contacts, counts, ..inputs(&facts) }, &facts);
    assert_shows(&report, "from_cohort to_cohort contacts");
}

#[test]
fn everyone_who_left_or_joined_is_in_a_row() {
    let report = movement(PopulationKind::Everyone);
    let standing = table(STANDING);
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
