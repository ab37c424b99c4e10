//! Members who are in no list any more: deleted, or merged into a contact who goes on.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::fixture::plain_job;
use crate::support::http;
use crate::support::job::{Job, Place, texts};
use crate::support::program::{on, run};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Row, text};
use crate::support::truth::{AUGUST, JULY, Month, SEPTEMBER, instant};

/// The smallest world with planted merges.
const WORLD: &[&str] = &["--contacts", "2000"];
const VALUE_LEAD: &str = "tag:1373897";

fn job(version: &str) -> Job {
    let job = Job { segments: texts(&["Active", "Leads to call"]), ..plain_job() };
    // Quicker than small pages.
    Job { intercom: vec![format!("api_version = \"{version}\"")], ..job }
}

/// Observes a month; the server records the requests.
fn month(place: &Place, job: &Job, of: &Month) -> Scripted {
    let simulator = Simulator::at(of.as_of, WORLD);
    let recorder = Scripted::before(simulator.address(), |_| None);
    run(&place.job(job, &recorder.base_url), &["--as-of", of.as_of]).succeed();
    recorder
}

/// What was merged into what, by the probe, between two observations.
fn merged(from: &Month, to: &Month) -> BTreeMap<String, String> {
    let simulator = Simulator::at(to.as_of, WORLD);
    let (from, to) = (instant(from.as_of).timestamp(), instant(to.as_of).timestamp());
    let rows = http::json(&simulator.base_url, &format!("/_simulator/merged?from={from}&to={to}"));
    let id = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    rows.as_array().unwrap().iter().map(|row| (id(&row["from"]), id(&row["into"]))).collect()
}

fn members(place: &Place, of: &Month) -> BTreeMap<String, BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in place.snapshot_table(of.name, "members").rows_by_name() {
        members.entry(row["cohort_key"].shown()).or_default().insert(row["contact_id"].shown());
    }
    members
}

fn summary(place: &Place, of: &Month) -> BTreeMap<Vec<String>, Row> {
    place.report(of.name, "cohort_summary").keyed(&["cohort_key"])
}

fn count(row: &Row, name: &str) -> Option<i64> {
    match row[name] {
        Cell::Count(count) => Some(count),
        Cell::Null => None,
        ref other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn who_is_gone_is_asked_for_once_and_was_deleted_or_merged() {
    let place = Place::new();
    let job = job("2.16");
    let july = month(&place, &job, &JULY);
    assert!(
        july.requests().iter().all(|request| request.path() == "/contacts" || !is_of_one_contact(request.path())),
        "nobody is asked for"
    );
    let august = month(&place, &job, &AUGUST);

    let (before, now) = (members(&place, &JULY), members(&place, &AUGUST));
    let here: BTreeSet<String> =
        place.snapshot_table(AUGUST.name, "contacts").rows_by_name().iter().map(|row| row["contact_id"].shown()).collect();
    let all_before: BTreeSet<String> = before.values().flatten().cloned().collect();
    let gone: BTreeSet<String> = all_before.difference(&here).cloned().collect();
    let known = merged(&JULY, &AUGUST);
    // Each is one request: those who go on are known to be there.
    let asked: Vec<String> =
        august.requests().iter().map(|request| request.path().to_string()).filter(|path| is_of_one_contact(path)).collect();
    let mut expected: Vec<String> = gone.iter().map(|id| format!("/contacts/{id}")).collect();
    let mut sorted = asked;
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    assert_eq!(place.manifest(AUGUST.name)["vanished"]["asked"], gone.len());
    assert_eq!(place.manifest(AUGUST.name)["vanished"]["not_asked"], 0);

    let rows = place.snapshot_table(AUGUST.name, "vanished").rows_by_name();
    assert_eq!(rows.iter().map(|row| row["contact_id"].shown()).collect::<BTreeSet<_>>(), gone);
    let mut went_on = 0;
    for row in &rows {
        let id = row["contact_id"].shown();
        match known.get(&id) {
            Some(into) => assert_eq!((&row["fate"], row["merged_into"].shown()), (&text("merged"), into.clone())),
            None => assert_eq!((&row["fate"], &row["merged_into"]), (&text("deleted"), &Cell::Null)),
        }
    }
    // The summary follows from the sets, with the contacts of now.
    for (key, row) in summary(&place, &AUGUST) {
        let key = &key[0];
        let now: BTreeSet<String> = now[key].iter().filter(|id| is_of(&AUGUST, id)).cloned().collect();
        let before: BTreeSet<String> = before[key].iter().filter(|id| is_of(&JULY, id)).cloned().collect();
        let of_now: BTreeSet<String> =
            before.iter().map(|id| known.get(id).filter(|into| now.contains(*into)).unwrap_or(id)).cloned().collect();
        went_on += before.difference(&of_now).count();
        let departed: Vec<&String> = of_now.difference(&now).collect();
        let gone_of = departed.iter().filter(|id| !here.contains(**id)).count() as i64;
        let merged_of = departed.iter().filter(|id| known.contains_key(**id)).count() as i64;
        let found =
            ["previous_members", "retained", "joined", "departed", "departed_gone", "departed_merged", "departed_deleted", "net_change"]
                .map(|name| count(&row, name).unwrap());
        let (retained, joined) = (of_now.intersection(&now).count() as i64, now.difference(&of_now).count() as i64);
        let departed = departed.len() as i64;
        let expected = [of_now.len() as i64, retained, joined, departed, gone_of, merged_of, gone_of - merged_of, joined - departed];
        assert_eq!(found, expected, "{key}");
        // Each member has an entry, and the entries add up to the members.
        let retention = place.report(AUGUST.name, "retention").rows_by_name();
        let at_august = |row: &&Row| row["cohort_key"] == text(key) && months_after(row) == "2026-08";
        let sum: i64 = retention.iter().filter(at_august).map(|row| count(row, "retained").unwrap()).sum();
        assert_eq!(sum, now.len() as i64, "{key}");
    }
    assert!(went_on > 0, "somebody goes on as another contact");
    // Who goes on has one row, retained; who was merged has none.
    let report = place.report(AUGUST.name, "members").keyed(&["cohort_key", "contact_id"]);
    for (id, into) in known.iter().filter(|(id, into)| before[VALUE_LEAD].contains(*id) && now[VALUE_LEAD].contains(*into)) {
        assert!(!report.contains_key(&vec![VALUE_LEAD.to_string(), id.clone()]));
        assert_eq!(report[&vec![VALUE_LEAD.to_string(), into.clone()]]["change"], text("retained"));
    }
}

fn is_of_one_contact(path: &str) -> bool {
    path.strip_prefix("/contacts/").is_some_and(|rest| rest != "search" && !rest.contains('/'))
}

/// Whether a contact was created before the month's end. Its ID begins with the time of creation.
fn is_of(month: &Month, id: &str) -> bool {
    i64::from_str_radix(&id[..8], 16).unwrap() < instant(month.end).timestamp()
}

fn months_after(row: &Row) -> String {
    let (Cell::Day(entry), Cell::Count(age)) = (&row["entry_month"], &row["age_months"]) else { panic!("{row:?}") };
    entry.checked_add_months(chrono::Months::new(u32::try_from(*age).unwrap())).unwrap().format("%Y-%m").to_string()
}

#[test]
fn no_more_than_the_job_allows_are_asked_for_and_the_fates_are_null_then() {
    let place = Place::new();
    let job = job("2.16").with_top("vanished_max = 1");
    month(&place, &job, &JULY);
    let august = month(&place, &job, &AUGUST);
    assert_eq!(august.requests().iter().filter(|request| is_of_one_contact(request.path())).count(), 1);
    assert_eq!(place.manifest(AUGUST.name)["vanished"]["asked"], 1);
    let findings = place.report(AUGUST.name, "data_quality").rows_by_name();
    let said = findings.iter().find(|row| row["check_name"] == text("vanished_not_asked")).unwrap();
    assert_eq!(said["value"], text(&place.manifest(AUGUST.name)["vanished"]["not_asked"].to_string()));
    let summary = summary(&place, &AUGUST);
    assert!(summary.values().all(|row| row["departed_gone"] != Cell::Null));
    assert!(summary.values().any(|row| row["departed_merged"] == Cell::Null && row["departed_deleted"] == Cell::Null));
}

#[test]
fn a_month_is_published_without_the_fates_that_the_api_refuses_to_give() {
    let place = Place::new();
    let job = job("2.16");
    month(&place, &job, &JULY);
    let simulator = Simulator::at(AUGUST.as_of, WORLD);
    let refused = |request: &Request| is_of_one_contact(request.path()).then(|| Reply::text(422, "application/json", "{}"));
    let recorder = Scripted::before(simulator.address(), refused);
    let finished = run(&place.job(&job, &recorder.base_url), &["--as-of", AUGUST.as_of]).finish();
    finished.check_code(0);
    assert_eq!(finished.stderr.matches("the API refused a request").count(), 1, "{}", finished.stderr);
    let counts = &place.manifest(AUGUST.name)["vanished"];
    assert!(counts["asked"] == 0 && counts["not_asked"].as_u64().unwrap() > 1, "{counts}");
    let findings = place.report(AUGUST.name, "data_quality").rows_by_name();
    assert!(findings.iter().any(|row| row["check_name"] == text("vanished_not_asked")));
    assert!(summary(&place, &AUGUST).values().any(|row| row["departed_merged"] == Cell::Null && row["departed_gone"] != Cell::Null));
}

#[test]
fn before_2_16_nobody_is_asked_for_and_it_is_said_once() {
    let place = Place::new();
    let job = job("2.15");
    month(&place, &job, &AUGUST);
    let september = month(&place, &job, &SEPTEMBER);
    assert!(september.requests().iter().all(|request| !is_of_one_contact(request.path())));
    let findings = place.report(SEPTEMBER.name, "data_quality").rows_by_name();
    assert_eq!(findings.iter().filter(|row| row["check_name"] == text("merges_unknown")).count(), 1);
    for row in summary(&place, &SEPTEMBER).values() {
        assert_eq!((&row["departed_merged"], &row["departed_deleted"]), (&Cell::Null, &Cell::Null));
        assert!(count(row, "departed_gone").is_some());
    }
    assert!(!place.snapshot(SEPTEMBER.name).join("vanished").exists());
}

#[test]
fn who_is_forgotten_is_not_named_as_gone_either() {
    let place = Place::new();
    let job = job("2.16");
    month(&place, &job, &JULY);
    month(&place, &job, &AUGUST);
    let rows = place.snapshot_table(AUGUST.name, "vanished").rows_by_name();
    let merged = rows.iter().find(|row| row["fate"] == text("merged")).unwrap();
    let file = place.job(&job, "http://127.0.0.1:9");
    // Both records are of one person.
    on(&file, "forget", &["--contact", &merged["merged_into"].shown()]).succeed();
    for id in ["merged_into", "contact_id"] {
        assert_eq!(crate::forget::files_with(&place.job_folder(), &merged[id].shown()), Vec::<String>::new(), "{id}");
    }
}
