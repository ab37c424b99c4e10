//! Contacts that were merged. If a member is merged into a contact that is then a member, this contact continues the membership. Four
//! months of one tag.
//!
//! | who | J | F | M | A | |
//! |---|---|---|---|---|---|
//! | lead | x | x | | | merged into `user` in March: a member from the first month |
//! | user | | | x | | continues the membership of `lead` |
//! | late | | x | | | merged into `known` in March, which is a member already |
//! | known | x | x | x | x | |
//! | lost | | x | | | merged into `other` in March, which is not a member |
//! | deleted | | x | | | deleted in March |
//! | left | | x | | | still there |
//! | new | | | x | x | |

use super::*;

fn months() -> Vec<Observation<'static>> {
    let all = ["deleted", "known", "late", "lead", "left", "lost", "new", "other", "user"];
    let month = |month: &'static str, gone: &[&str], members: &[&'static str]| {
        let contacts = all.iter().filter(|id| !gone.contains(*id)).map(|id| user(id)).collect();
        Observation::of(month, contacts, vec![("tag:1", members.to_vec())])
    };
    let gone = ["deleted", "late", "lead", "lost"];
    let fates = vec![("deleted", None), ("late", Some("known")), ("lead", Some("user")), ("lost", Some("other"))];
    vec![
        month("2026-01", &[], &["known", "lead"]),
        month("2026-02", &[], &["deleted", "known", "late", "lead", "left", "lost"]),
        Observation { vanished: Some(fates), ..month("2026-03", &gone, &["known", "new", "user"]) },
        Observation { vanished: Some(Vec::new()), ..month("2026-04", &gone, &["known", "new"]) },
    ]
}

#[test]
fn a_member_that_is_merged_into_a_member_goes_on_as_that_one() {
    let mut place = Place::new();
    place.by_sql = Some(BySql::default());
    let months = months();
    months[..2].iter().for_each(|month| _ = place.observe(month));
    let march = place.observe(&months[2]);
    check(
        march,
        &STANDING,
        "
        contact_id  change    entered_month  months_in_cohort  is_gone  is_merged  is_of_unknown_fate
        deleted     departed  2026-02        -                 true     false      false
        known       retained  -              3                 false    false      false
        left        departed  2026-02        -                 false    false      false
        lost        departed  2026-02        -                 true     true       false
        new         joined    2026-03        1                 false    false      false
        user        retained  -              3                 false    false      false",
    );
    // February had six members. `late` and `known` are one contact in March, so March is compared with five.
    let counts = "month members previous_members retained joined departed departed_gone departed_deleted departed_merged net_change";
    let march_counts = "2026-03 3 5 2 1 3 2 1 1 -2";
    check(march, &COUNTS, &format!("{counts}\n 2026-01 2 - - - - - - - -\n 2026-02 6 2 2 4 0 0 - - 4\n {march_counts}"));
    // Each member has one row. `user` has the entry of `lead`, whose membership it continues.
    let ledger = read(march, &LEDGER).lazy().filter(col("last_month").eq(lit(chrono::NaiveDate::from_ymd_opt(2026, 3, 1).unwrap())));
    assert_shows(
        &ledger.collect().unwrap(),
        "
        contact_id  entered_month  entry_is_censored  spell_start  spell_months
        known       2026-01        true               2026-01      3
        new         2026-03        false              2026-03      1
        user        2026-01        true               2026-01      3",
    );
    // All members who entered in January stay. `late` entered in February, but is `known` in March, so no row of February's entrants counts
    // it as retained.
    check(
        march,
        &TRIANGLE,
        "
        entry_month  observed_month  retained  retained_unbroken
        2026-01      2026-01         2         2
        2026-01      2026-02         2         2
        2026-01      2026-03         2         2
        2026-02      2026-02         4         4
        2026-02      2026-03         0         0
        2026-03      2026-03         1         1",
    );
    let of_members = people(march).select(["contact_id", "change", "months_in_cohort"]).unwrap();
    assert_shows(
        &of_members,
        "
        contact_id  change    months_in_cohort
        deleted     departed  -
        known       retained  3
        left        departed  -
        lost        departed  -
        new         joined    1
        user        retained  3",
    );
    place.by_sql.as_ref().unwrap().check_reports(&place.last.as_ref().unwrap().counted);

    // `user`, which continues the membership of `lead`, departs like any other member.
    let april = place.observe(&months[3]);
    let departed = read(april, &STANDING).lazy().filter(col("change").eq(lit("departed"))).collect().unwrap();
    assert_shows(&departed, "contact_id change is_gone is_merged\n user departed false false");
}

#[test]
fn fates_are_null_unless_all_are_known() {
    let of_march = |vanished: Option<Vec<(&'static str, Option<&'static str>)>>, population: &'static str| {
        let mut place = Place::new();
        let mut months = months();
        months.truncate(3);
        months[2].vanished = vanished;
        months.iter_mut().for_each(|month| month.population = population);
        months.iter().for_each(|month| _ = place.observe(month));
        let counts = read(place.last.as_ref().unwrap(), &COUNTS).tail(Some(1));
        let fates = ["departed_gone", "departed_deleted", "departed_merged"].map(|name| counts.column(name).unwrap().i64().unwrap().get(0));
        (fates, counts.column("departed").unwrap().i64().unwrap().get(0))
    };
    let all = || vec![("deleted", None), ("late", Some("known")), ("lead", Some("user")), ("lost", Some("other"))];
    assert_eq!(of_march(Some(all()), "everyone"), ([Some(2), Some(1), Some(1)], Some(3)));
    // It is unknown what happened to the missing contacts: `user` seems to have joined, and four members are gone.
    assert_eq!(of_march(None, "everyone"), ([Some(4), None, None], Some(5)));
    // The API was not asked about `deleted`, so the numbers of deleted and of merged members are unknown.
    let most = all().into_iter().filter(|(id, _)| *id != "deleted").collect();
    assert_eq!(of_march(Some(most), "everyone"), ([Some(2), None, None], Some(3)));
    // Only members are observed, so a missing contact may still exist and have departed from all cohorts. That `user` continues the
    // membership of `lead` is known all the same.
    assert_eq!(of_march(Some(all()), "cohorts"), ([None, None, None], Some(3)));
}
