//! Eight months of one tag: three months in a row, a missing month, one month, a late month, and two months in a row.
//!
//! | who | J | F | M | – | M | late | J | A | |
//! |---|---|---|---|---|---|---|---|---|---|
//! | stays | x | x | x | | x | x | x | x | a member from the first month: the entry is unknown |
//! | leaves, returns | x | | x | | x | | x | | also absent in the late month, which does not count |
//! | early | | x | x | | | | | | in the group in January, but created in February |
//! | february | | x | | | | | x | x | |
//! | gone | | | x | | | | | | deleted during the missing month |
//! | march | | | x | | x | x | x | x | |
//! | may | | | | | x | | x | x | |
//! | late only | | | | | | x | | | |
//! | july, july only | | | | | | | x | x | |
//! | august | | | | | | | | x | |

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;

const NAMES: [&str; 11] = ["august", "early", "february", "gone", "july", "july-only", "late-only", "leaver", "march", "may", "stays"];

fn workspace(without: &str) -> Vec<Contact> {
    let contact = |name: &&str| match *name {
        "early" => Contact { created_at: Some(at("2026-02-01T00:00:00Z")), ..user("early") },
        name => user(name),
    };
    NAMES.iter().filter(|name| **name != without).map(contact).collect()
}

fn observations() -> Vec<Observation<'static>> {
    let month = |month, members: &[&'static str], without| Observation::of(month, workspace(without), vec![("tag:1", members.to_vec())]);
    vec![
        month("2026-01", &["early", "leaver", "stays"], ""),
        month("2026-02", &["early", "february", "stays"], ""),
        month("2026-03", &["early", "gone", "leaver", "march", "stays"], ""),
        month("2026-05", &["leaver", "march", "may", "stays"], "gone"),
        Observation { basis: Basis::Late, ..month("2026-06", &["late-only", "march", "stays"], "gone") },
        month("2026-07", &["february", "july", "july-only", "leaver", "march", "may", "stays"], "gone"),
        month("2026-08", &["august", "february", "july", "march", "may", "stays"], "gone"),
    ]
}

/// The tables and the hash of a month's history.
struct Built {
    tables: BTreeMap<&'static str, DataFrame>,
    hash: String,
}

fn build(months: usize) -> Vec<Built> {
    let mut place = Place::new();
    let built = |observed: &Observed| Built {
        tables: TABLES.iter().chain(&[&STANDING]).map(|table| (table.name, read(observed, table))).collect(),
        hash: observed.history.hash.clone(),
    };
    observations().iter().take(months).map(|observation| built(place.observe(observation))).collect()
}

static STORY: LazyLock<Vec<Built>> = LazyLock::new(|| build(7));

const MARCH: usize = 2;
const MAY: usize = 3;
const JUNE: usize = 4;
const AUGUST: usize = 6;

#[track_caller]
fn check_month(month: usize, table: &'static Table, expected: &str) {
    assert_shows(&STORY[month].tables[table.name], expected);
}

#[test]
fn standing_has_every_member_and_everyone_who_left() {
    let columns = "contact_id change entered_month months_in_cohort is_gone";
    let expected = [
        // January, the first month: all members may have entered earlier. `early` was not created yet.
        "
        leaver     first_seen  -        1  false
        stays      first_seen  -        1  false",
        "
        early      joined      2026-02  1  false
        february   joined      2026-02  1  false
        leaver     departed    -        -  false
        stays      retained    -        2  false",
        "
        early      retained    2026-02  2  false
        february   departed    2026-02  -  false
        gone       joined      2026-03  1  false
        leaver     returned    -        1  false
        march      joined      2026-03  1  false
        stays      retained    -        3  false",
        // May is compared with March. April is missing: contacts may have been members then, so `may` may have entered in April.
        "
        early      departed    2026-02  -  false
        gone       departed    2026-03  -  true
        leaver     retained    -        3  false
        march      retained    2026-03  3  false
        may        joined      -        1  false
        stays      retained    -        5  false",
        // June is late: nothing is compared, and nobody has left.
        "
        late-only  first_seen  -        -  false
        march      first_seen  -        -  false
        stays      first_seen  -        -  false",
        // July is compared with May.
        "
        february   returned    2026-02  1  false
        july       joined      -        1  false
        july-only  joined      -        1  false
        leaver     retained    -        5  false
        march      retained    2026-03  5  false
        may        retained    -        3  false
        stays      retained    -        7  false",
        "
        august     joined      2026-08  1  false
        february   retained    2026-02  2  false
        july       retained    -        2  false
        july-only  departed    -        -  false
        leaver     departed    -        -  false
        march      retained    2026-03  6  false
        may        retained    -        4  false
        stays      retained    -        8  false",
    ];
    for (month, expected) in expected.into_iter().enumerate() {
        check_month(month, &STANDING, &format!("{columns}\n{expected}"));
    }
}

#[test]
fn the_ledger_has_everyone_ever_seen() {
    let names = "contact_id  entered_month  entry_is_censored  spell_start  spell_months  last_month";
    let may = "
        early      2026-02  false  2026-02  2  2026-03
        february   2026-02  false  2026-02  1  2026-02
        gone       2026-03  false  2026-03  1  2026-03
        leaver     2026-01  true   2026-03  3  2026-05
        march      2026-03  false  2026-03  3  2026-05
        may        2026-05  true   2026-05  1  2026-05
        stays      2026-01  true   2026-01  5  2026-05";
    check_month(MAY, &LEDGER, &format!("{names}\n{may}"));
    // The late month does not change the ledger.
    check_month(JUNE, &LEDGER, &format!("{names}\n{may}"));
    check_month(
        AUGUST,
        &LEDGER,
        &format!(
            "{names}
            august     2026-08  false  2026-08  1  2026-08
            early      2026-02  false  2026-02  2  2026-03
            february   2026-02  false  2026-07  2  2026-08
            gone       2026-03  false  2026-03  1  2026-03
            july       2026-07  true   2026-07  2  2026-08
            july-only  2026-07  true   2026-07  1  2026-07
            leaver     2026-01  true   2026-03  5  2026-07
            march      2026-03  false  2026-03  6  2026-08
            may        2026-05  true   2026-05  4  2026-08
            stays      2026-01  true   2026-01  8  2026-08"
        ),
    );
}

#[test]
fn counts_cover_every_month_of_the_history_and_this_one() {
    let names = "month in_history members previous_members retained joined returned departed departed_gone net_change intercom_count";
    let until_may = "
        2026-01  true   2  -  -  -  -  -  -   -  3
        2026-02  true   3  2  1  2  0  1  0   1  3
        2026-03  true   5  3  2  3  1  1  0   2  5
        2026-05  true   4  5  3  1  0  2  1  -1  4";
    check_month(JUNE, &COUNTS, &format!("{names}\n{until_may}\n 2026-06 false 3 - - - - - - - 3"));
    check_month(
        AUGUST,
        &COUNTS,
        &format!(
            "{names}\n{until_may}
            2026-07  true  7  4  4  3  1  0  0   3  7
            2026-08  true  6  7  5  1  0  2  0  -1  6"
        ),
    );
}

#[test]
fn the_triangle_has_the_entrants_of_each_month() {
    let expected = "
        entry_month  observed_month  retained  retained_unbroken
        2026-01      2026-01         2         2
        2026-01      2026-02         1         1
        2026-01      2026-03         2         1
        2026-01      2026-05         2         1
        2026-01      2026-07         2         1
        2026-01      2026-08         1         1
        2026-02      2026-02         2         2
        2026-02      2026-03         1         1
        2026-02      2026-05         0         0
        2026-02      2026-07         1         0
        2026-02      2026-08         1         0
        2026-03      2026-03         2         2
        2026-03      2026-05         1         1
        2026-03      2026-07         1         1
        2026-03      2026-08         1         1
        2026-05      2026-05         1         1
        2026-05      2026-07         1         1
        2026-05      2026-08         1         1
        2026-07      2026-07         2         2
        2026-07      2026-08         1         1
        2026-08      2026-08         1         1";
    check_month(AUGUST, &TRIANGLE, expected);
    // The late month adds no rows to the triangle.
    assert_eq!(STORY[JUNE].tables[TRIANGLE.name], STORY[MAY].tables[TRIANGLE.name]);
}

#[test]
fn an_entry_is_known_only_if_the_month_before_was_observed() {
    // January is the first month; May and July come after a gap. June had no entrants, and it is outside the history.
    let entries = STORY[AUGUST].tables[LEDGER.name].clone().lazy();
    let entries = entries.group_by([col("entered_month"), col("entry_is_censored")]).agg([len().cast(DataType::Int64).alias("entrants")]);
    assert_shows(
        &entries.sort(["entered_month"], SortMultipleOptions::default()).collect().unwrap(),
        "
        entered_month  entry_is_censored  entrants
        2026-01        true               2
        2026-02        false              2
        2026-03        false              2
        2026-05        true               1
        2026-07        true               2
        2026-08        false              1",
    );
}

#[test]
fn states_have_the_first_and_last_month_of_a_cohort() {
    let names = "cohort_key  first_month  last_month  last_month_end        months";
    check_month(MARCH, &STATES, &format!("{names}\n tag:1 2026-01 2026-03 2026-04-01T00:00:00Z 3"));
    check_month(MAY, &STATES, &format!("{names}\n tag:1 2026-01 2026-05 2026-06-01T00:00:00Z 4"));
    check_month(JUNE, &STATES, &format!("{names}\n tag:1 2026-01 2026-05 2026-06-01T00:00:00Z 4"));
    check_month(AUGUST, &STATES, &format!("{names}\n tag:1 2026-01 2026-08 2026-09-01T00:00:00Z 6"));
}

#[test]
fn the_same_months_give_the_same_history() {
    // The manifest has the hashes of all files and no time.
    let hashes = |months: &[Built]| months.iter().map(|built| built.hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&build(4)), hashes(&STORY[..4]));
}

/// Observes the months with roles, attributes, conversations and rules, and also runs the SQL of every step. In February no conversations
/// are fetched, in August members are missing, and from May on identifiers are hashed.
fn in_full(mut each: impl FnMut(&str, &Place)) {
    let mut place = Place::new();
    place.by_sql = Some(BySql::default());
    let entry =
        |attribute: &str, custom: Option<&str>| ProfileEntry { attribute: attribute.to_string(), custom_name: custom.map(str::to_string) };
    place.definitions.profile = vec![
        entry("role", None),
        entry("country", None),
        entry("unsubscribed_from_emails", None),
        entry("custom_attributes.plan", Some("plan")),
        entry("custom_attributes.since", Some("since")),
    ];
    let rule = |name: &str, text: &str| Rule { name: name.into(), condition: Condition::parse(text, FACTS, &[]).unwrap() };
    place.definitions.rules = vec![
        rule("openers", "conversations_opened >= 1 AND NOT unsubscribed_from_emails"),
        rule("of-a-plan", "custom_attributes.plan = 49 OR LOWER(country) LIKE 'i%'"),
        rule("old", "created_at < month_start - INTERVAL '30 days' OR role = 'lead'"),
        rule("left", "subscription.\"Digest, \"\"weekly\"\"\" = 'opted_out' AND subscription.\"Product news\" IS NOT NULL"),
        rule("odd", "country IN ('=\"x\", y', 'it''s', 'a\\b') OR custom_attributes.since > '2020-01-01' OR custom_attributes.plan > 48.5"),
    ];
    for mut observation in observations() {
        let MonthSpan { start: month_start, month, .. } = observation.span();
        let month_number = month.index() as usize;
        for (number, contact) in observation.contacts.iter_mut().enumerate() {
            contact.country = [Some("IE".into()), None, Some("=\"x\", y".into())][number % 3].clone();
            contact.role = [Role::User, Role::Lead][(number + observation.month.len()) % 2];
            contact.last_seen_at = [None, Some(month_start)][number % 2];
            // The plan is a text, a number with the same characters, or missing.
            let plan = [AttributeValue::Text("49".into()), AttributeValue::Number(49_i64.into())];
            contact
                .custom_attributes
                .extend(plan.get(number % 3).map(|value| CustomAttribute { name: "plan".into(), value: value.clone() }));
            // Seconds since 1970, and a number that is no instant.
            let since = Number::from_f64([1_600_000_000.0, 1e300, -0.5][number % 3]).unwrap();
            contact.custom_attributes.push(CustomAttribute { name: "since".into(), value: AttributeValue::Number(since) });
            // Choices change from month to month.
            let choices = [("71", Choice::OptedOut), ("72", [Choice::OptedIn, Choice::OptedOut][number % 2]), ("73", Choice::OptedIn)];
            *contact = choosing(contact.clone(), &choices[..(number + month_number) % 4]);
            contact.unsubscribed_from_emails = [None, Some(true), Some(false)][if number > 4 { (number + month_number) % 3 } else { 0 }];
        }
        observation.opened_by = vec!["stays", "march", "stays", "nobody"];
        // In May, the contact `gone` was merged into a member. In the other months, the API was not asked about members that are gone.
        observation.vanished = (observation.month == "2026-05").then(|| vec![("gone", Some("may"))]);
        observation.conversations = observation.month != "2026-02";
        observation.identifiers = if observation.month < "2026-05" { "keep" } else { "hash" };
        observation.incomplete = if observation.month == "2026-08" { vec!["tag:1"] } else { Vec::new() };
        place.observe(&observation);
        each(observation.month, &place);
    }
}

/// Every step has the rows of its SQL. The engine of this process makes fewer signatures than the SQL, but the later steps make the same
/// rows of both.
#[test]
fn every_step_has_the_rows_of_its_sql_however_signatures_are_made() {
    let (mut months, mut has_fewer) = (0, false);
    in_full(|month, place| {
        let by_sql = place.by_sql.as_ref().unwrap();
        by_sql.check_reports(&place.last.as_ref().unwrap().counted);
        let ours = by_sql.tables();
        let mut each_its_own = ours.clone();
        let from = STEPS.iter().position(|step| step.table.name == "signatures").unwrap();
        STEPS[from..].iter().for_each(|step| each_its_own.run(step).unwrap());
        let rows = |tables: &Polars, name: &str| tables.table(name).unwrap().clone();
        for name in ["counts", "opt_outs", "triangle", "activity", "shared", "moves", "profiles", "quality"] {
            assert!(rows(&each_its_own, name).equals_missing(&rows(ours, name)), "{name} of {month}");
        }
        let signatures = |tables: &Polars| rows(tables, "relations").column("signature").unwrap().n_unique().unwrap();
        assert!(signatures(ours) <= signatures(&each_its_own));
        has_fewer |= signatures(ours) < signatures(&each_its_own);
        months += 1;
    });
    assert!(months == 7 && has_fewer, "in some month, several contacts have the same relations");
}

/// Writes a folder for each month: the tables as `<table>.parquet`, and the steps as `<number>-<table>.duckdb.sql` and `….spark.sql`.
#[test]
#[ignore = "writes the folder COHORTS_STEPS, which tests/analysts/steps.py and tests/engine/steps.py read"]
fn the_steps_are_written_for_other_engines() {
    let folder = std::path::PathBuf::from(std::env::var("COHORTS_STEPS").expect("COHORTS_STEPS names a folder"));
    in_full(|month, place| {
        let folder = folder.join(month);
        std::fs::create_dir_all(&folder).unwrap();
        let tables = place.by_sql.as_ref().unwrap().tables();
        // The snapshot also has a table `members`, so the tables of reports get a prefix.
        let of_report = |step: &Step| format!("report_{}", step.table.name);
        let of_reports: Vec<Step> = REPORTS.iter().filter_map(|report| report.step()).collect();
        let counted = &place.last.as_ref().unwrap().counted;
        let has_rule = |rule: &&Rule| counted.cohorts.iter().any(|cohort| cohort.cohort_key == rule.cohort_key());
        for (engine, dialect) in [("duckdb", Dialect::DuckDb), ("spark", Dialect::Spark)] {
            let steps = steps::all(place.definitions.rules.iter().filter(has_rule), month != "2026-02", dialect);
            let steps = steps.into_iter().map(|step| (step.table.name.to_string(), step));
            for (number, (name, step)) in steps.chain(of_reports.iter().map(|step| (of_report(step), step.clone()))).enumerate() {
                std::fs::write(folder.join(format!("{number:02}-{name}.{engine}.sql")), step.sql.as_bytes()).unwrap();
            }
        }
        let write = |name: &str, rows: &DataFrame| {
            let file = std::fs::File::create(folder.join(format!("{name}.parquet"))).unwrap();
            ParquetWriter::new(file).finish(&mut rows.clone()).unwrap();
        };
        tables.names().for_each(|name| write(name, tables.table(name).unwrap()));
        of_reports.iter().for_each(|step| write(&of_report(step), &tables.result(step).unwrap()));
    });
}
