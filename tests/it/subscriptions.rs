//! Which subscriptions contacts left: from the contacts' records to the report, on all versions that have them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::fixture::plain_job;
use crate::support::job::{Job, Place};
use crate::support::program::{ask, observe, on, run};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Row, text};
use crate::support::truth::{AUGUST, JULY, Month};

const ACTIVE: &str = "segment:63bbdd50aa01c0ffee000001";
const PRODUCT_NEWS: &str = "71";
/// So many contacts that some have more than ten choices of a kind.
const WORLD: &[&str] = &["--contacts", "1500", "--seed", "3"];

fn month(place: &Place, job: &Job, of: &Month) -> Simulator {
    let simulator = Simulator::at(of.as_of, WORLD);
    run(&place.job(job, &simulator.base_url), &["--as-of", of.as_of]).succeed();
    simulator
}

/// The contacts in each state of each type, by the snapshot.
fn choices(place: &Place, of: &Month) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut all: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in place.snapshot_table(of.name, "subscriptions").rows_by_name() {
        let shown = |name: &str| row[name].shown();
        assert!(all.entry((shown("subscription_id"), shown("state"))).or_default().insert(shown("contact_id")));
    }
    all
}

/// The row of a cohort and a type in the report.
fn reported(place: &Place, of: &Month, subscription: &str) -> Row {
    let report = place.report(of.name, "unsubscribes").keyed(&["cohort_key", "subscription_id"]);
    report[&vec![ACTIVE.to_string(), subscription.to_string()]].clone()
}

#[test]
fn choices_are_those_of_the_workspace_and_a_mailing_that_many_leave_is_found() {
    let place = Place::new();
    let job = plain_job()
        .with_section("[output]\nformats = [\"parquet\", \"html\"]")
        .with_section("[[rules]]\nname = \"left-news\"\nwhere = \"subscription.\\\"Product news\\\" = 'opted_out'\"");
    let mut members = Vec::new();
    for of in [&JULY, &AUGUST] {
        let simulator = month(&place, &job, of);
        let found = choices(&place, of);
        // Each state of each type is that of the probe: those who opted out of an opt_out type, and into an opt_in type.
        let types = place.snapshot_table(of.name, "subscription_types").rows_by_name();
        assert!(types.len() > 10);
        for row in &types {
            let (id, consent) = (row["subscription_id"].shown(), row["consent_type"].shown());
            let state = if consent == "opt_in" { "opted_in" } else { "opted_out" };
            let expected: BTreeSet<String> = simulator.members(&format!("subscription:{id}")).into_iter().collect();
            assert_eq!(found.get(&(id.clone(), state.to_string())).cloned().unwrap_or_default(), expected, "{id}");
        }
        assert_eq!(place.manifest(of.name)["subscriptions"], Value::Bool(true));
        // The report counts the members of a cohort among them.
        let active: BTreeSet<String> = members_of(&place, of, ACTIVE);
        let out: BTreeSet<String> = active.intersection(&found[&(PRODUCT_NEWS.to_string(), "opted_out".to_string())]).cloned().collect();
        let row = reported(&place, of, PRODUCT_NEWS);
        assert_eq!((&row["subscription_name"], &row["opted_out"]), (&text("Product news"), &Cell::Count(out.len() as i64)));
        assert_eq!(row["members"], Cell::Count(active.len() as i64));
        members.push((active, out));
        let of_rule: BTreeSet<String> = members_of(&place, of, "rule:left-news");
        // All of them but those who were created after the month's end.
        let all_out = &found[&(PRODUCT_NEWS.to_string(), "opted_out".to_string())];
        assert!(of_rule.is_subset(all_out) && all_out.len() - of_rule.len() < 5);
    }
    // Nobody knows what was new in the first month. In August, many left.
    assert_eq!(reported(&place, &JULY, PRODUCT_NEWS)["newly_opted_out"], Cell::Null);
    let row = reported(&place, &AUGUST, PRODUCT_NEWS);
    let before = choices(&place, &JULY);
    let was_out = &before[&(PRODUCT_NEWS.to_string(), "opted_out".to_string())];
    let newly = members[1].1.iter().filter(|id| !was_out.contains(*id)).count() as i64;
    assert_eq!(row["newly_opted_out"], Cell::Count(newly));
    assert!(newly > 20 && newly as usize > members[0].1.len(), "{newly}");
    // All e-mails are a row, with the counts of the summary.
    let (emails, summary) = (reported(&place, &AUGUST, ""), place.report("2026-08", "cohort_summary").keyed(&["cohort_key"]));
    let summary = &summary[&vec![ACTIVE.to_string()]];
    assert_eq!((&emails["opted_out"], &emails["newly_opted_out"]), (&summary["unsubscribed"], &summary["newly_unsubscribed"]));
    let page = std::fs::read_to_string(place.reports("2026-08").join("report.html")).unwrap();
    assert!(page.contains("Unsubscribed from …") && page.contains("Product news"));
}

fn members_of(place: &Place, of: &Month, key: &str) -> BTreeSet<String> {
    let report = place.report(of.name, "members").rows_by_name();
    let is_member = |row: &&Row| row["cohort_key"] == text(key) && row["change"] != text("departed");
    report.iter().filter(is_member).map(|row| row["contact_id"].shown()).collect()
}

#[test]
fn a_run_asks_for_the_choices_that_were_cut_and_for_nothing_if_they_are_not_wanted() {
    let simulator = Simulator::at(JULY.as_of, WORLD);
    let contacts = simulator.contacts();
    let cut = contacts.iter().filter(|contact| {
        ["opted_out_subscription_types", "opted_in_subscription_types"].iter().any(|list| contact[list]["has_more"] == true)
    });
    let cut: BTreeSet<String> = cut.map(|contact| format!("/contacts/{}/subscriptions", contact["id"].as_str().unwrap())).collect();
    assert!(!cut.is_empty());
    let asked = |job: &Job| {
        let recorder = Scripted::before(simulator.address(), |_| None);
        let place = Place::new();
        observe(&place.job(job, &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
        let paths: Vec<String> = recorder.requests().iter().map(|request| request.path().to_string()).collect();
        (place, paths.into_iter().filter(|path| path.contains("subscription")).collect::<Vec<_>>())
    };
    let (_, paths) = asked(&plain_job());
    let mut expected: Vec<String> = cut.into_iter().collect();
    expected.push("/subscription_types".to_string());
    let mut sorted = paths;
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected, "each once");

    let (place, paths) = asked(&plain_job().with_top("subscriptions = false"));
    assert_eq!(paths, Vec::<String>::new());
    assert!(!place.snapshot(JULY.name).join("subscriptions").exists());
    assert_eq!(place.manifest(JULY.name).get("subscriptions"), None);
}

#[test]
fn a_month_is_published_without_the_choices_that_the_api_refuses_to_give() {
    let simulator = Simulator::at(JULY.as_of, WORLD);
    let refused = |request: &Request| request.path().ends_with("/subscriptions").then(|| Reply::text(422, "application/json", "{}"));
    let recorder = Scripted::before(simulator.address(), refused);
    let place = Place::new();
    run(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    let asked: BTreeSet<String> =
        recorder.requests().iter().map(|request| request.path().to_string()).filter(|path| path.ends_with("/subscriptions")).collect();
    let findings = place.report(JULY.name, "data_quality").rows_by_name();
    let said = findings.iter().find(|row| row["check_name"] == text("subscriptions_cut")).unwrap();
    assert_eq!(said["value"], text(&asked.len().to_string()));
    assert!(!place.snapshot_table(JULY.name, "subscriptions").rows_by_name().is_empty());
}

#[test]
fn versions_without_subscriptions_say_so_once_and_know_all_e_mails() {
    for version in ["2.4", "1.4"] {
        let simulator = Simulator::at(JULY.as_of, &[]);
        let place = Place::new();
        let job = plain_job().with_intercom(format!("api_version = \"{version}\""));
        run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
        let rows = place.report(JULY.name, "unsubscribes").rows_by_name();
        assert!(rows.len() == 3 && rows.iter().all(|row| row["subscription_name"] == text("(all e-mails)")), "{version}: {rows:?}");
        let findings = place.report(JULY.name, "data_quality").rows_by_name();
        let said: Vec<&Row> = findings.iter().filter(|row| row["check_name"] == text("subscriptions_unknown")).collect();
        assert!(said.len() == 1 && said[0]["severity"] == text("info"), "{version}: {said:?}");
    }
}

#[test]
fn a_rule_has_no_members_in_a_month_that_did_not_observe_what_it_names() {
    let place = Place::new();
    let job = plain_job();
    let bare = job.clone().with_top("subscriptions = false").with_top("conversations = false");
    month(&place, &bare, &JULY);
    let left = "[[rules]]\nname = \"left-news\"\nwhere = \"subscription.\\\"Product news\\\" = 'opted_out'\"";
    let quiet = "[[rules]]\nname = \"quiet\"\nwhere = \"conversations_opened = 0\"";
    let all = "[[rules]]\nname = \"all\"\nwhere = \"role IS NOT NULL\"";
    let rules = |job: &Job| [left, quiet, all].into_iter().fold(job.clone(), Job::with_section);
    month(&place, &rules(&job), &AUGUST);
    on(&place.job(&rules(&job), "http://127.0.0.1:9"), "report", &["--all"]).succeed();
    let of_rules = |of: &Month| -> BTreeSet<String> {
        let keys = place.report(of.name, "cohort_summary").rows_by_name().into_iter().map(|row| row["cohort_key"].shown());
        keys.filter(|key| key.starts_with("rule:")).collect()
    };
    assert_eq!(of_rules(&JULY), BTreeSet::from(["rule:all".to_string()]));
    assert_eq!(of_rules(&AUGUST), ["all", "left-news", "quiet"].map(|name| format!("rule:{name}")).into_iter().collect());
    let summary = place.report(AUGUST.name, "cohort_summary").keyed(&["cohort_key"]);
    let joined = |name: &str| summary[&vec![format!("rule:{name}")]]["joined"].clone();
    assert!([joined("left-news"), joined("quiet")].iter().all(|joined| *joined == Cell::Null) && joined("all") != Cell::Null);

    // A job that does not observe subscriptions cannot have such a rule.
    let with_left = |job: Job| job.with_section(left);
    for (job, needed) in [
        (with_left(job.clone().with_top("subscriptions = false")), "`subscriptions = true`"),
        (with_left(job.clone().with_intercom("api_version = \"2.4\"")), "`intercom.api_version` from 2.5 on"),
    ] {
        let refused = run(&place.job(&job, "http://127.0.0.1:9"), &["--as-of", AUGUST.as_of]).finish();
        refused.check_failure(2, &["the rule `left-news` names a subscription", needed]);
    }
}

#[test]
fn a_check_finds_a_rule_with_a_subscription_that_is_not_there() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    for (name, seen) in [("Product news", "the workspace has all their subscriptions"), ("product  News", "did you mean `Product news`?")] {
        let rule = format!("[[rules]]\nname = \"left\"\nwhere = \"subscription.\\\"{name}\\\" = 'opted_out'\"");
        let checked = on(&place.job(&plain_job().with_section(rule), &simulator.base_url), "check", &[]).finish();
        checked.check_code(0);
        assert!(checked.stdout.contains(seen), "{name}: {}", checked.stdout);
    }
}

#[test]
fn a_listing_has_the_choices_of_each_member_with_their_names() {
    let simulator = Simulator::at(JULY.as_of, WORLD);
    let place = Place::new();
    let file = place.folder().join("members.jsonl");
    let arguments = ["members", "segment:Active", "--as-of", JULY.as_of, "-o", file.to_str().unwrap()];
    ask(&simulator.base_url, "2.14", arguments).succeed();
    let lines = std::fs::read_to_string(file).unwrap();
    let mut out = BTreeSet::new();
    let mut most = 0;
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let choices = row["subscriptions"].as_array().unwrap();
        most = most.max(choices.len());
        if choices.iter().any(|one| one["id"] == "71" && one["name"] == "Product news" && one["state"] == "opted_out") {
            out.insert(row["contact_id"].as_str().unwrap().to_string());
        }
    }
    let active: BTreeSet<String> = simulator.members(ACTIVE).into_iter().collect();
    let expected: BTreeSet<String> = simulator.members("subscription:71").into_iter().filter(|id| active.contains(id)).collect();
    assert_eq!(out, expected);
    assert!(most > 10, "also those that a record cuts: {most}");
}

#[test]
fn a_person_who_is_forgotten_has_no_choices_left() {
    let simulator = Simulator::at(JULY.as_of, WORLD);
    let place = Place::new();
    let file = place.job(&plain_job(), &simulator.base_url);
    run(&file, &["--as-of", JULY.as_of]).succeed();
    let person = simulator.members("subscription:71").remove(0);
    assert!(!crate::forget::files_with(&place.snapshot(JULY.name).join("subscriptions"), &person).is_empty());
    on(&file, "forget", &["--contact", &person]).succeed();
    assert_eq!(crate::forget::files_with(&place.job_folder(), &person), Vec::<String>::new());
}
