//! Other parts of a history: cohorts that disappear, records, attributes, populations.

use super::*;

#[test]
fn a_cohort_that_returns_continues_its_history() {
    let mut place = Place::new();
    let contacts = || ["x", "y", "z"].map(user).to_vec();
    place.observe(&Observation::of("2026-01", contacts(), vec![("tag:1", vec!["x"])]));
    // This is the first month of `tag:2`, so its members may have entered earlier.
    let february = place.observe(&Observation::of("2026-02", contacts(), vec![("tag:1", vec!["x", "y"]), ("tag:2", vec!["x"])]));
    let names = "cohort_key  contact_id  change  entered_month  months_in_cohort";
    check(
        february,
        &STANDING,
        &format!(
            "{names}
            tag:1  x  retained    -        2
            tag:1  y  joined      2026-02  1
            tag:2  x  first_seen  -        1"
        ),
    );
    // In March `tag:2` does not exist, and `tag:1` is empty.
    let march = place.observe(&Observation::of("2026-03", contacts(), vec![("tag:1", vec![])]));
    check(march, &STANDING, &format!("{names}\n tag:1 x departed - -\n tag:1 y departed 2026-02 -"));
    check(
        march,
        &COUNTS,
        "
        cohort_key  month    members  users  openers  conversations_opened  previous_members  retained  joined  departed
        tag:1       2026-01  1        1      0        0                     -                 -         -       -
        tag:1       2026-02  2        2      0        0                     1                 1         1       0
        tag:1       2026-03  0        0      0        0                     2                 0         0       2
        tag:2       2026-02  1        1      0        0                     -                 -         -       -",
    );
    // In April `tag:2` is compared with February. `tag:1` is compared with March, in which it was empty.
    let april = place.observe(&Observation::of("2026-04", contacts(), vec![("tag:1", vec!["y"]), ("tag:2", vec!["x", "z"])]));
    check(
        april,
        &STANDING,
        &format!(
            "{names}
            tag:1  y  returned  2026-02  1
            tag:2  x  retained  -        3
            tag:2  z  joined    -        1"
        ),
    );
    check(
        april,
        &STATES,
        "
        cohort_key  first_month  last_month  months
        tag:1       2026-01      2026-04     4
        tag:2       2026-02      2026-04     2",
    );
}

#[test]
fn records_of_the_compared_month_show_who_unsubscribed_or_became_a_user() {
    let mut place = Place::new();
    let unsubscribed = |contact: Contact, is: Option<bool>| Contact { unsubscribed_from_emails: is, ..contact };
    let lead = |id: &str| Contact { role: Role::Lead, ..user(id) };
    let names = ["asked", "before", "new", "outsider", "silent", "still", "stranger", "was-lead"];
    let members = || vec![("tag:1", names.to_vec())];
    let january = vec![
        unsubscribed(user("asked"), Some(false)),
        unsubscribed(user("before"), Some(true)),
        unsubscribed(user("outsider"), Some(false)),
        unsubscribed(user("silent"), None),
        unsubscribed(user("still"), Some(false)),
        lead("was-lead"),
    ];
    // `outsider` is in the workspace but not in the cohort.
    let in_january = vec![("tag:1", vec!["asked", "before", "silent", "still", "was-lead"])];
    place.observe(&Observation::of("2026-01", january, in_january));
    // `new` was created since then. `stranger` was created before, but was never observed.
    let created = |contact: Contact, text: &str| Contact { created_at: Some(at(text)), ..contact };
    let february = vec![
        unsubscribed(user("asked"), Some(true)),
        unsubscribed(user("before"), Some(true)),
        created(unsubscribed(user("new"), Some(true)), "2026-02-01T00:00:00Z"),
        unsubscribed(user("outsider"), Some(true)),
        unsubscribed(user("silent"), Some(true)),
        unsubscribed(user("still"), Some(false)),
        created(unsubscribed(user("stranger"), Some(true)), "2026-01-31T23:59:59Z"),
        user("was-lead"),
    ];
    let history = place.observe(&Observation::of("2026-02", february, members()));
    check(
        history,
        &STANDING,
        "
        contact_id  change    is_newly_unsubscribed  is_converted
        asked       retained  true                   false
        before      retained  false                  false
        new         joined    true                   false
        outsider    joined    true                   false
        silent      retained  false                  false
        still       retained  false                  false
        stranger    joined    false                  false
        was-lead    retained  false                  true",
    );
    check(
        history,
        &COUNTS,
        "
        month    members  unsubscribed  new_contacts  newly_unsubscribed  converted_leads
        2026-01  5        1             0             -                   -
        2026-02  8        6             1             3                   1",
    );
}

#[test]
fn counts_include_what_members_did_in_the_month() {
    let mut place = Place::new();
    let seen = |id: &str, text: &str| Contact { last_seen_at: Some(at(text)), ..user(id) };
    let contacts = vec![
        seen("active", "2026-02-01T00:00:00Z"),
        seen("idle", "2026-01-31T23:59:59Z"),
        Contact { has_hard_bounced: Some(true), marked_email_as_spam: Some(true), role: Role::Lead, ..user("lead") },
        seen("outsider", "2026-02-03T00:00:00Z"),
    ];
    let cohorts = vec![("tag:1", vec!["active", "idle", "lead"])];
    let opened_by = vec!["active", "active", "lead", "outsider", "nobody-known"];
    let observation =
        |basis| Observation { basis, opened_by: opened_by.clone(), ..Observation::of("2026-02", contacts.clone(), cohorts.clone()) };
    let names = "in_history members users leads active_members openers conversations_opened hard_bounced marked_spam";
    check(place.observe(&observation(Basis::MonthEnd)), &COUNTS, &format!("{names}\n true 3 2 1 1 2 3 1 1"));
    // In a late month it is unknown who was active.
    let mut place = Place::new();
    check(place.observe(&observation(Basis::Late)), &COUNTS, &format!("{names}\n false 3 2 1 - 2 3 1 1"));
}

#[test]
fn values_are_counted_by_role_in_the_population_and_the_cohorts() {
    let mut place = Place::new();
    let entry =
        |attribute: &str, custom: Option<&str>| ProfileEntry { attribute: attribute.to_string(), custom_name: custom.map(str::to_string) };
    place.definitions.profile =
        vec![entry("country", None), entry("unsubscribed_from_emails", None), entry("custom_attributes.plan", Some("plan"))];
    let plan = |contact: Contact, value: AttributeValue| with(contact, "plan", value);
    let number = |value: i64| AttributeValue::Number(value.into());
    let contacts = |x: AttributeValue| {
        vec![
            Contact { country: Some("Chile".into()), ..plan(user("x"), x) },
            Contact { role: Role::Lead, unsubscribed_from_emails: Some(true), ..plan(user("y"), number(5)) },
            Contact { unsubscribed_from_emails: Some(false), ..plan(user("z"), AttributeValue::Text("5".into())) },
            // This contact was created after the month's end, so it is not in the population.
            Contact { created_at: Some(at("2026-04-01T00:00:00Z")), ..plan(user("future"), number(9)) },
        ]
    };
    let cohort = |members: &[&'static str]| vec![("tag:1", members.to_vec())];
    place.observe(&Observation::of("2026-01", contacts(number(4)), cohort(&["x", "y"])));
    let february = place.observe(&Observation::of("2026-02", contacts(number(5)), cohort(&["x", "z", "future"])));
    // The cohort's own counts of January are kept, because the cohort is compared with January. `y` departed and is not in the cohort's
    // counts of February. The plan of one user is the number 5, and of another user the text `5`: such a value is not a number.
    check(
        february,
        &PROFILES,
        "
        month    cohort_key  attribute                 role  value  value_number  contacts  numbers
        2026-01  tag:1       ''                        lead  -      -             1  0
        2026-01  tag:1       ''                        user  -      -             1  0
        2026-01  tag:1       country                   user  Chile  -             1  0
        2026-01  tag:1       custom_attributes.plan    lead  5      5             1  1
        2026-01  tag:1       custom_attributes.plan    user  4      4             1  1
        2026-01  tag:1       unsubscribed_from_emails  lead  true   -             1  0
        2026-02  ''          ''                        lead  -      -             1  0
        2026-02  ''          ''                        user  -      -             2  0
        2026-02  ''          country                   user  Chile  -             1  0
        2026-02  ''          custom_attributes.plan    lead  5      5             1  1
        2026-02  ''          custom_attributes.plan    user  5      -             2  1
        2026-02  ''          unsubscribed_from_emails  lead  true   -             1  0
        2026-02  ''          unsubscribed_from_emails  user  false  -             1  0
        2026-02  tag:1       ''                        user  -      -             2  0
        2026-02  tag:1       country                   user  Chile  -             1  0
        2026-02  tag:1       custom_attributes.plan    user  5      -             2  1
        2026-02  tag:1       unsubscribed_from_emails  user  false  -             1  0",
    );
    // In March no cohort is compared with January.
    let march = place.observe(&Observation::of("2026-03", contacts(number(5)), cohort(&[])));
    let months = read(march, &PROFILES).lazy().select([col("month").min().alias("month")]).collect().unwrap();
    assert_shows(&months, "month\n 2026-02");
}

#[test]
fn the_population_may_be_a_group_or_the_cohorts() {
    let contacts = || ["in-both", "in-one", "in-two", "outside"].map(user).to_vec();
    let cohorts = || vec![("tag:1", vec!["in-one", "in-both"]), ("tag:2", vec!["in-two", "in-both"])];
    let columns = "cohort_key  contacts";
    for (population, expected) in [
        ("everyone", "'' 4\n tag:1 2\n tag:2 2"),
        ("cohorts", "'' 3\n tag:1 2\n tag:2 2"),
        // Only one member of tag:1 is in tag:2.
        ("tag:2", "'' 2\n tag:1 1\n tag:2 2"),
    ] {
        let mut place = Place::new();
        let history = place.observe(&Observation { population, ..Observation::of("2026-02", contacts(), cohorts()) });
        check(history, &PROFILES, &format!("{columns}\n{expected}"));
        let departed = Observation { population, ..Observation::of("2026-03", contacts(), vec![("tag:1", vec![]), ("tag:2", vec![])]) };
        let counts = read(place.observe(&departed), &COUNTS).lazy().filter(col("departed").is_not_null());
        // A contact that was not observed is certainly gone only if everyone was observed.
        let gone = if population == "everyone" { "0" } else { "-" };
        assert_shows(&counts.collect().unwrap(), &format!("departed departed_gone\n 2 {gone}\n 2 {gone}"));
    }
}

#[test]
fn a_month_without_contacts_has_a_history() {
    let mut place = Place::new();
    let history = place.observe(&Observation::of("2026-01", Vec::new(), vec![("tag:1", vec![])]));
    check(history, &STANDING, "contact_id");
    check(history, &COUNTS, "month members openers conversations_opened joined\n 2026-01 0 0 0 -");
    check(history, &TRIANGLE, "entry_month observed_month retained retained_unbroken\n 2026-01 2026-01 0 0");
    check(history, &PROFILES, "contacts");
    // A job without cohorts has a history too.
    let history = place.observe(&Observation::of("2026-02", vec![user("x")], Vec::new()));
    check(history, &STANDING, "contact_id");
    check(history, &STATES, "cohort_key first_month\n tag:1 2026-01");
}

#[test]
fn the_sql_has_every_attribute_that_a_profile_may_name() {
    let sql = include_str!("../../steps/attribute_values.sql");
    for name in domain::profile_columns() {
        assert!(sql.contains(&format!("f.attribute = '{name}'")), "{name}");
    }
}

#[test]
fn who_has_left_is_shown_with_the_last_known_record() {
    let mut place = Place::new();
    let named = |name: &str| vec![Contact { name: Some(name.into()), ..user("x") }, user("y")];
    let cohort = |members: &[&'static str]| vec![("tag:1", members.to_vec())];
    place.observe(&Observation::of("2026-01", named("first"), cohort(&["x"])));
    // A late month is not compared, but its record is newer.
    place.observe(&Observation { basis: Basis::Late, ..Observation::of("2026-02", named("second"), cohort(&["x"])) });
    let march = place.observe(&Observation::of("2026-03", vec![user("y")], cohort(&["y"])));
    let members = people(march);
    assert_shows(&members, "contact_id change name\n x departed second\n y joined -");
}

#[test]
fn without_the_snapshot_of_the_compared_month_what_changed_since_is_unknown() {
    let mut place = Place::new();
    let contacts = |is: bool| vec![Contact { unsubscribed_from_emails: Some(is), ..user("x") }, user("y")];
    place.observe(&Observation::of("2026-01", contacts(false), vec![("tag:1", vec!["x", "y"])]));
    // As if January's snapshot were damaged: February is counted without it.
    place.snapshots.clear();
    let february = place.observe(&Observation::of("2026-02", contacts(true), vec![("tag:1", vec!["x"])]));
    check(
        february,
        &COUNTS,
        "
        month    members  retained  departed  unsubscribed  newly_unsubscribed  converted_leads
        2026-01  2        -         -         0             -                   -
        2026-02  1        1         1         1             -                   -",
    );
    let january: domain::Month = "2026-01".parse().unwrap();
    assert_eq!(february.counted.unreadable.iter().copied().collect::<Vec<_>>(), [january]);
    // The history names January, so that it is rebuilt once January can be read again.
    assert_eq!(february.history.without().collect::<Vec<_>>(), [january]);
    let march = place.observe(&Observation::of("2026-03", contacts(true), vec![("tag:1", vec!["x"])]));
    assert_eq!(march.history.without().count(), 0);
}
