use super::*;

/// Everyone's way between February and March. `there` was created long ago, `new` in March.
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
    tag:d       a-to-none       first_seen  false
    tag:d       first           first_seen  false";

const CONTACTS: &str = "
    contact_id      created_at
    a-to-b          2025-01-01T00:00:00Z
    a-to-none       2025-01-01T00:00:00Z
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
    tag:a       2026-03  6
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
    // Of A's six in February one is still there: one joined B, one C, two joined nothing (one of them stays in B, where it was
    // before; D, which nobody can have joined in its first month, is no place to go), one is gone. The one who left A and B
    // for C counts twice. Whoever was in A before and joins B without leaving A came neither from outside nor from A.
    assert_shows(
        &movement(PopulationKind::Everyone),
        "
        month    from_cohort  from_name  to_cohort  to_name  contacts  share_of_from
        2026-03  (new)        (new)      tag:b      B        1         -
        2026-03  (new)        (new)      tag:c      C        1         -
        2026-03  (none)       (none)     tag:b      B        2         -
        2026-03  tag:a        A          (gone)     (gone)   1         0.166667
        2026-03  tag:a        A          (none)     (none)   2         0.333333
        2026-03  tag:a        A          tag:b      B        1         0.166667
        2026-03  tag:a        A          tag:c      C        1         0.166667
        2026-03  tag:b        B          tag:c      C        1         0.5",
    );
}

#[test]
fn who_is_gone_is_known_only_when_everyone_is_observed() {
    let report = movement(PopulationKind::Cohorts);
    assert_shows(
        &only(&report, "from_cohort", "tag:a"),
        "
        to_cohort  contacts  share_of_from
        (none)     3         0.5
        tag:b      1         0.166667
        tag:c      1         0.166667",
    );
}

#[test]
fn nobody_moves_where_nothing_is_compared() {
    let facts = facts("2026-03", vec![cohort("d", None)]);
    let (standing, contacts, counts) = (table(STANDING).tail(Some(2)).lazy(), table(CONTACTS).lazy(), table(COUNTS).lazy());
    let report = build("movement", &Inputs { standing, contacts, counts, ..inputs(&facts) }, &facts);
    assert_shows(&report, "from_cohort to_cohort contacts");
}
