//! Which subscriptions members leave, over two months with subscriptions and one month without them.

use super::*;

#[test]
fn choices_are_counted_and_compared_with_the_record_of_the_compared_month() {
    use Choice::{OptedIn, OptedOut};
    let emails = |contact: Contact, unsubscribed: bool| Contact { unsubscribed_from_emails: Some(unsubscribed), ..contact };
    let new = Contact { created_at: Some(at("2026-02-10T00:00:00Z")), ..user("new") };
    let mut place = Place::new();
    place.by_sql = Some(BySql::default());
    place.definitions.rules = vec![Rule {
        name: "left-news".into(),
        condition: Condition::parse("subscription.\"Product news\" = 'opted_out'", FACTS, &[]).unwrap(),
    }];
    let january = vec![
        emails(choosing(user("back"), &[("71", OptedOut)]), true),
        emails(choosing(user("other"), &[("71", OptedOut)]), false),
        emails(choosing(user("out"), &[("71", OptedOut)]), false),
        emails(choosing(user("stays"), &[]), false),
    ];
    let february = vec![
        emails(choosing(user("back"), &[("71", OptedIn)]), false),
        emails(choosing(new, &[("71", OptedOut), ("72", OptedIn)]), false),
        emails(choosing(user("other"), &[("71", OptedOut)]), false),
        emails(choosing(user("out"), &[("71", OptedOut)]), true),
        emails(choosing(user("stays"), &[("71", OptedOut)]), false),
    ];
    let march = vec![user("back"), user("out")];
    let members = |ids: &[&'static str]| vec![("tag:1", ids.to_vec())];
    place.observe(&Observation::of("2026-01", january, members(&["back", "out", "stays"])));
    let observed = place.observe(&Observation::of("2026-02", february, members(&["back", "new", "out", "stays"])));
    let expected = "
        cohort_key      month    subscription_id  members  opted_out  newly_opted_out  newly_opted_in
        rule:left-news  2026-01  ''               3        1          -                -
        rule:left-news  2026-01  71               3        3          -                -
        rule:left-news  2026-02  ''               4        1          1                0
        rule:left-news  2026-02  71               4        4          2                0
        rule:left-news  2026-02  72               4        0          0                1
        tag:1           2026-01  ''               3        1          -                -
        tag:1           2026-01  71               3        2          -                -
        tag:1           2026-02  ''               4        1          1                1
        tag:1           2026-02  71               4        3          2                1
        tag:1           2026-02  72               4        0          0                1";
    check(observed, &OPT_OUTS, expected);
    let of_type = |table: &DataFrame| table.column("subscription_name").unwrap().str().unwrap().get(1).map(str::to_string);
    assert_eq!(of_type(&read(observed, &OPT_OUTS)).as_deref(), Some("Product news"));
    // In March the API gives no subscriptions: only the flag for all e-mails is counted, without changes. The members of the rule are
    // unknown, so the rule has no row.
    let observed = place.observe(&Observation::of("2026-03", march, members(&["back", "out"])));
    let rows = read(observed, &OPT_OUTS).lazy().filter(col("month").eq(lit(chrono::NaiveDate::from_ymd_opt(2026, 3, 1).unwrap())));
    assert_shows(
        &rows.collect().unwrap(),
        "
        cohort_key  subscription_id  members  opted_out
        tag:1       ''               2        0",
    );
}
