//! Rules: cohorts by behaviour, held against the truth; what is refused before the first request; and the tags that
//! `run --apply-tags` writes back.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::fixture::plain_job;
use crate::support::job::{Job, Place};
use crate::support::program::{Finished, ask, cohorts, on, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::with_hash;
use crate::support::truth::{AUGUST, JULY, Month, Truth};
use crate::support::wait_until;

const NOWHERE: &str = "http://127.0.0.1:9";
const VALUE_LEAD: &str = "tag:1373897";
/// Nobody's work but a rule's.
const TAG: &str = "by_rule";

fn with_rule(job: Job, name: &str, condition: &str, tag: Option<&str>) -> Job {
    let tag = tag.map_or(String::new(), |tag| format!("apply_tag = {tag:?}\n"));
    job.with_section(format!("[[rules]]\nname = {name:?}\nwhere = {}\n{tag}", serde_json::to_string(condition).unwrap()))
}

fn with_conversations(month: &Month) -> Simulator {
    Simulator::at(month.as_of, &["--contacts", "600"])
}

/// Who is in a cohort by a month's report; those who have left are not.
fn reported(place: &Place, month: &str, key: &str) -> BTreeSet<String> {
    let table = place.report(month, "members");
    let (keys, ids, changes) = (table.texts("cohort_key"), table.texts("contact_id"), table.texts("change"));
    let rows = keys.into_iter().zip(ids).zip(changes);
    rows.filter(|((found, _), change)| found == key && change != "departed").map(|((_, id), _)| id).collect()
}

fn those(truth: &Truth, is: impl Fn(&str, &Value) -> bool) -> BTreeSet<String> {
    let there = truth.contacts.iter().filter(|(id, _)| truth.created_at(id) < truth.end);
    there.filter(|(id, contact)| is(id, contact)).map(|(id, _)| id.clone()).collect()
}

#[test]
fn the_members_of_a_rule_are_those_of_whom_its_condition_is_true() {
    let place = Place::new();
    let simulator = with_conversations(&JULY);
    let truth = Truth::ask(&simulator, &JULY, &[(VALUE_LEAD, "value_lead"), ("segment:63bbdd50aa01c0ffee000001", "Active")]);
    let month_end = truth.end.timestamp();
    let opened = |id: &str| truth.opened.get(id).copied().unwrap_or_default();
    type Is<'a> = Box<dyn Fn(&str, &Value) -> bool + 'a>;
    let rules: Vec<(&str, &str, Is<'_>)> = vec![
        (
            "openers",
            "conversations_opened >= 1 AND NOT unsubscribed_from_emails",
            Box::new(|id, contact| opened(id) >= 1 && contact["unsubscribed_from_emails"] == false),
        ),
        (
            "pro-leads",
            "custom_attributes.plan = 'pro' AND tag.value_lead",
            Box::new(|id, contact| contact["custom_attributes"]["plan"] == "pro" && truth.has_member(VALUE_LEAD, id)),
        ),
        (
            "away",
            "last_seen_at < month_end - INTERVAL '60 days' AND NOT segment.\"Active\"",
            Box::new(|id, contact| {
                contact["last_seen_at"].as_i64().is_some_and(|seen| seen < month_end - 60 * 86_400)
                    && !truth.has_member("segment:63bbdd50aa01c0ffee000001", id)
            }),
        ),
        (
            "seats",
            "custom_attributes.seats BETWEEN 2 AND 10 OR custom_attributes.newsletter IS TRUE",
            Box::new(|_, contact| {
                let attributes = &contact["custom_attributes"];
                attributes["seats"].as_f64().is_some_and(|seats| (2.0..=10.0).contains(&seats)) || attributes["newsletter"] == true
            }),
        ),
        ("nobody", "country = 'Atlantis'", Box::new(|_, _| false)),
        ("everyone", "role IN ('user', 'lead') AND 1 < 2", Box::new(|_, _| true)),
    ];
    let mut job = plain_job();
    for (name, condition, _) in &rules {
        job = with_rule(job, name, condition, None);
    }
    let file = place.job(&job, &simulator.base_url);
    run(&file, &["--as-of", JULY.as_of]).succeed();
    let summary = place.report("2026-07", "cohort_summary").keyed(&["cohort_key"]);
    for (name, condition, is) in &rules {
        let expected = those(&truth, is);
        let key = format!("rule:{name}");
        assert_eq!(reported(&place, "2026-07", &key), expected, "{condition}");
        assert!(expected.is_empty() == (*name == "nobody"), "{name}: a test of {} contacts", expected.len());
        let row = &summary[&vec![key.clone()]];
        assert_eq!(format!("{:?}", row["members"]), format!("{:?}", crate::support::tables::count(expected.len() as i64)), "{name}");
        assert_eq!(format!("{:?}", row["cohort_kind"]), format!("{:?}", crate::support::tables::text("rule")));
        assert_eq!(format!("{:?}", row["intercom_count"]), format!("{:?}", crate::support::tables::count(None)));
    }
    // Every report of cohorts has them, and pairs with them.
    for report in ["cohort_trends", "retention", "conversation_activity", "attribute_profile"] {
        assert!(place.report("2026-07", report).texts("cohort_key").contains(&"rule:openers".to_string()), "{report}");
    }
    assert!(place.report("2026-07", "overlap").texts("cohort_a").contains(&"rule:away".to_string()));
}

#[test]
fn a_rule_that_is_added_later_has_all_the_months_that_are_held() {
    let place = Place::new();
    let mut truths = Vec::new();
    for month in [&JULY, &AUGUST] {
        let simulator = with_conversations(month);
        let file = place.job(&plain_job(), &simulator.base_url);
        run(&file, &["--as-of", month.as_of]).succeed();
        truths.push(Truth::ask(&simulator, month, &[]));
    }
    let file = place.job(&with_rule(plain_job(), "openers", "conversations_opened >= 1", None), NOWHERE);
    let status = cohorts(["status", "--job"]).arguments(&[file.to_str().unwrap(), "--as-of", AUGUST.as_of]).without_token().succeed();
    assert_eq!(status.stdout.matches("stale").count(), 2, "{}", status.stdout);
    cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]).without_token().succeed();
    let (july, august) =
        (those(&truths[0], |id, _| truths[0].opened.contains_key(id)), those(&truths[1], |id, _| truths[1].opened.contains_key(id)));
    assert_eq!(reported(&place, "2026-07", "rule:openers"), july);
    assert_eq!(reported(&place, "2026-08", "rule:openers"), august);
    let row = place.report("2026-08", "cohort_summary").keyed(&["cohort_key"]).remove(&vec!["rule:openers".to_string()]).unwrap();
    for (name, expected) in [
        ("retained", july.intersection(&august).count()),
        ("joined", august.difference(&july).count()),
        ("departed", july.difference(&august).count()),
    ] {
        assert!(expected > 0, "a test of no {name}");
        assert_eq!(format!("{:?}", row[name]), format!("{:?}", crate::support::tables::count(expected as i64)), "{name}");
    }
}

#[test]
fn a_wrong_rule_is_refused_before_the_first_request_with_a_list_of_columns() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let check = |condition: &str, named: &[&str]| {
        let file = place.job(&with_rule(plain_job(), "wrong", condition, None), &simulator.base_url);
        let before = simulator.stats().requests;
        run(&file, &["--as-of", JULY.as_of]).finish().check_failure(2, named);
        assert_eq!(simulator.stats().requests, before, "{condition}");
        assert!(!place.job_folder().exists(), "{condition}");
    };
    check("conversation_opened >= 5", &["wrong", "conversation_opened", "did you mean `conversations_opened`", "last_seen_at", "role"]);
    check("role >= 5", &["wrong", "role"]);
    check("conversations_opened", &["wrong", "conversations_opened"]);
    check("tag.\"no such group\"", &["wrong", "no such group", "value_lead"]);
    check("contact_id IN (SELECT contact_id FROM members)", &["wrong"]);
    check("EXISTS (SELECT 1)", &["wrong"]);
    check("TRUE; DROP TABLE facts", &["wrong"]);
    check("read_parquet('/etc/passwd') IS NULL", &["wrong"]);
    check("", &["wrong"]);
    let file = place.job(&plain_job().with_section("[[rules]]\nname = \"a b\"\nwhere = \"TRUE\"\nwhen = 1"), NOWHERE);
    run(&file, &[]).finish().check_failure(2, &["rules", "when"]);
    let twice = with_rule(with_rule(plain_job(), "same", "role = 'user'", None), "same", "role = 'lead'", None);
    run(&place.job(&twice, NOWHERE), &[]).finish().check_failure(2, &["rules", "same"]);
    let without = with_rule(plain_job().with_top("conversations = false"), "openers", "conversations_opened >= 1", None);
    run(&place.job(&without, NOWHERE), &[]).finish().check_failure(2, &["openers", "conversations_opened"]);
}

/// A place with one rule whose tag is written back.
struct Tagging {
    place: Place,
    simulator: Simulator,
}

impl Tagging {
    fn new() -> Tagging {
        Tagging { place: Place::new(), simulator: with_conversations(&JULY) }
    }

    fn job(&self, condition: &str, top: &str) -> PathBuf {
        self.place.job(&with_rule(plain_job().with_top(top), "openers", condition, Some(TAG)), &self.simulator.base_url)
    }

    fn apply(&self, condition: &str, top: &str, arguments: &[&str]) -> Finished {
        run(&self.job(condition, top), &["--month", "2026-07", "--as-of", JULY.as_of]).arguments(arguments).finish()
    }

    fn carriers(&self) -> BTreeSet<String> {
        let tags: Value = serde_json::from_str(&ask(&self.simulator.base_url, "2.14", ["tags", "--json"]).succeed().stdout).unwrap();
        let tag = tags.as_array().unwrap().iter().find(|tag| tag["name"] == TAG).cloned();
        tag.map_or(BTreeSet::new(), |tag| self.simulator.members(&format!("tag:{}", tag["id"].as_str().unwrap())).into_iter().collect())
    }

    fn tag_by_hand(&self, id: &str) {
        ask(&self.simulator.base_url, "2.14", ["tag", TAG, "--id", id]).succeed();
    }

    fn runs(&self) -> Vec<Value> {
        let path = self.place.job_folder().join("applied/run_month=2026-07/manifest.json");
        let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        manifest["runs"].as_array().unwrap().clone()
    }
}

#[test]
fn a_rules_tag_is_written_back_as_a_difference_and_only_when_it_is_asked_for() {
    let tagging = Tagging::new();
    let truth = Truth::ask(&tagging.simulator, &JULY, &[]);
    let opened = |least: i64| those(&truth, |id, _| truth.opened.get(id).copied().unwrap_or_default() >= least);
    let (once, twice) = (opened(1), opened(2));
    assert!(once.len() > twice.len() && twice.len() > 1, "{} {}", once.len(), twice.len());

    // A run without the flag writes nothing.
    assert_eq!(tagging.apply("conversations_opened >= 2", "", &[]).code, Some(0));
    assert!(tagging.simulator.writes().is_empty());

    // One member has the tag by hand, and somebody who is none.
    let by_hand = [twice.first().unwrap().clone(), truth.contacts.keys().find(|id| !once.contains(*id)).unwrap().clone()];
    by_hand.iter().for_each(|id| tagging.tag_by_hand(id));
    let outsider: BTreeSet<String> = [by_hand[1].clone()].into();

    let all = "max_tag_change = 1.0";
    assert_eq!(tagging.apply("conversations_opened >= 1", all, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), once.union(&outsider).cloned().collect());
    let first = tagging.runs()[0]["rules"][0].clone();
    assert_eq!((first["gained"].as_u64(), first["carried_before"].as_u64()), (Some(once.len() as u64 - 1), Some(1)), "{first}");

    // Again: nothing to do, nothing sent.
    let writes = tagging.simulator.writes().len();
    assert_eq!(tagging.apply("conversations_opened >= 1", all, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.simulator.writes().len(), writes);
    assert_eq!(tagging.runs().len(), 1);

    // Narrowed: who is no member any more loses the tag, but not whom a person tagged.
    assert_eq!(tagging.apply("conversations_opened >= 2", all, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), twice.union(&outsider).cloned().collect());
    assert_eq!(tagging.apply("country = 'Atlantis'", all, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), by_hand.into_iter().collect());
    assert_eq!(tagging.runs().len(), 3);
}

#[test]
fn a_tag_that_was_deleted_or_replaced_starts_again() {
    let tagging = Tagging::new();
    let top = "max_tag_change = 1.0";
    let (condition, other) = ("conversations_opened >= 1", "another tag");
    let carriers = |tag: &str| {
        let found = ask(&tagging.simulator.base_url, "2.14", ["members", &format!("tag:{tag}"), "--format", "jsonl"]).succeed();
        found.stdout.lines().count()
    };
    assert_eq!(tagging.apply(condition, top, &["--apply-tags"]).code, Some(0));
    let members = tagging.carriers().len();
    assert!(members > 0);
    let job = with_rule(plain_job().with_top(top), "openers", condition, Some(other));
    let file = tagging.place.job(&job, &tagging.simulator.base_url);
    run(&file, &["--month", "2026-07", "--as-of", JULY.as_of, "--apply-tags"]).succeed();
    assert_eq!((carriers(other), carriers(TAG)), (members, members), "the former tag stays where it is");
    // Back to the first one, which they still carry by then: it counts as somebody else's, and stays for good.
    assert_eq!(tagging.apply(condition, top, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.apply("country = 'Atlantis'", top, &["--apply-tags"]).code, Some(0));
    assert_eq!(carriers(TAG), members);
}

#[test]
fn too_large_a_change_of_tags_is_refused_unless_it_is_forced() {
    let tagging = Tagging::new();
    let refused = |condition: &str| {
        let finished = tagging.apply(condition, "", &["--apply-tags"]);
        finished.check_failure(2, &["openers", "--force-tags", "max_tag_change"]);
        assert!(tagging.place.reports("2026-07").exists(), "the month is published all the same");
    };
    refused("role IN ('user', 'lead')");
    assert!(tagging.simulator.writes().is_empty());
    assert_eq!(tagging.apply("conversations_opened >= 1", "", &["--apply-tags"]).code, Some(0));
    let carriers = tagging.carriers();
    assert!(!carriers.is_empty());
    refused("country = 'Atlantis'");
    assert_eq!(tagging.carriers(), carriers);
    assert_eq!(tagging.apply("country = 'Atlantis'", "", &["--apply-tags", "--force-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), BTreeSet::new());
}

/// True of everybody, so that it takes many calls.
const ALL: &str = "role IN ('user', 'lead')";

#[test]
fn what_the_api_did_not_take_is_tried_again_and_taken_back_like_the_rest() {
    let tagging = Tagging::new();
    let all = those(&Truth::ask(&tagging.simulator, &JULY, &[]), |_, _| true);
    let calls = AtomicUsize::new(0);
    let refusing = Scripted::before(tagging.simulator.address(), move |request| {
        let is_call = request.method == "POST" && request.path() == "/tags" && request.json()["users"].is_array();
        let refused = is_call && calls.fetch_add(1, Ordering::Relaxed) >= 2;
        refused.then(|| Reply::text(403, "application/json", r#"{"type":"error.list","errors":[{"code":"forbidden"}]}"#))
    });
    let top = "max_tag_change = 1.0";
    // What was allowed once is not asked about again, although it is several times those who carry the tag by then.
    let job = |base_url: &str| tagging.place.job(&with_rule(plain_job().with_top(top), "openers", ALL, Some(TAG)), base_url);
    let apply = |file: &PathBuf| run(file, &["--month", "2026-07", "--as-of", JULY.as_of, "--apply-tags"]).finish();
    apply(&job(&refusing.base_url)).check_failure(3, &["openers"]);
    let some = tagging.carriers();
    assert!(!some.is_empty() && some.len() < all.len(), "{} of {}", some.len(), all.len());

    assert_eq!(apply(&job(&tagging.simulator.base_url)).code, Some(0));
    assert_eq!(tagging.carriers(), all);
    assert_eq!(tagging.apply("country = 'Atlantis'", top, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), BTreeSet::new());
}

#[test]
fn a_run_killed_while_it_tags_knows_afterwards_whom_it_tagged() {
    let slow = Simulator::at(JULY.as_of, &["--contacts", "600", "--latency", "100ms"]);
    let tagging = Tagging { place: Place::new(), simulator: slow };
    let all = those(&Truth::ask(&tagging.simulator, &JULY, &[]), |_, _| true);
    let top = "max_tag_change = 1.0";
    let file = tagging.job(ALL, top);
    // One call at a time, so that some have come through and some have not.
    let running = run(&file, &["--month", "2026-07", "--as-of", JULY.as_of, "--apply-tags"]);
    let running = running.variable("COHORTS__INTERCOM__MAX_CONCURRENCY", "1").start();
    wait_until("some are tagged", || tagging.carriers().len() >= 50);
    running.signal(Signal::KILL);
    running.finish();
    let some = tagging.carriers();
    assert!(some.len() < all.len(), "killed too late: {} of {}", some.len(), all.len());
    let again = tagging.apply(ALL, top, &["--apply-tags"]);
    assert_eq!((again.code, tagging.carriers()), (Some(0), all.clone()), "{}", again.stderr);
    let reported = tagging.runs()[0]["rules"][0].clone();
    assert_eq!(
        (reported["gained"].as_u64(), reported["carried_before"].as_u64()),
        (Some((all.len() - some.len()) as u64), Some(0)),
        "{reported}"
    );
    assert_eq!(tagging.apply("country = 'Atlantis'", top, &["--apply-tags"]).code, Some(0));
    assert_eq!(tagging.carriers(), BTreeSet::new());
}

#[test]
fn tags_are_of_the_newest_month_alone_and_flags_that_make_no_sense_are_refused() {
    let tagging = Tagging::new();
    let file = tagging.job("conversations_opened >= 1", "");
    run(&file, &["--month", "2026-07", "--as-of", JULY.as_of]).succeed();
    let backfill = cohorts(["backfill", "--from", "2026-06", "--to", "2026-06", "--as-of", JULY.as_of, "--job"]);
    backfill.arguments(&[file.to_str().unwrap()]).succeed();
    let older = run(&file, &["--month", "2026-06", "--as-of", JULY.as_of, "--apply-tags"]).finish();
    older.check_failure(2, &["2026-06", "2026-07"]);
    run(&file, &["--force-tags"]).finish().check_failure(2, &["--apply-tags"]);
    run(&file, &["--dry-run", "--apply-tags"]).finish().check_failure(2, &["--dry-run"]);
    assert!(tagging.simulator.writes().is_empty());
}

#[test]
fn damaged_notes_of_applied_tags_take_no_tag_from_anybody() {
    let tagging = Tagging::new();
    assert_eq!(tagging.apply("conversations_opened >= 1", "", &["--apply-tags", "--force-tags"]).code, Some(0));
    let carriers = tagging.carriers();
    let notes = tagging.place.job_folder().join("applied/run_month=2026-07");
    let tagged = with_hash(&notes.join("tagged.parquet"));
    let whole = fs::read(&tagged).unwrap();
    let mut bytes = whole.clone();
    bytes[40] ^= 4;
    fs::write(&tagged, bytes).unwrap();
    let refused = tagging.apply("conversations_opened >= 2", "", &["--apply-tags", "--force-tags"]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("applied/run_month=2026-07") && refused.stderr.contains("`tagged."), "{}", refused.stderr);
    assert_eq!(tagging.carriers(), carriers);
    // Nor are they written again by a `forget` that has not read them completely.
    let file = tagging.job("conversations_opened >= 1", "");
    let somebody = carriers.first().unwrap();
    let forgotten = on(&file, "forget", &["--contact", somebody]).finish();
    assert_eq!(forgotten.code, Some(6), "{}", forgotten.stderr);
    assert!(forgotten.stderr.contains("applied tags of 2026-07"), "{}", forgotten.stderr);
    let status = on(&file, "status", &["--check", "--as-of", JULY.as_of]).finish();
    assert!(status.code == Some(8) && status.stdout.contains("applied tags of 2026-07 are damaged"), "{}", status.stdout);
    fs::write(&tagged, whole).unwrap();
    on(&file, "forget", &["--contact", somebody]).succeed();
    on(&file, "status", &["--check", "--as-of", JULY.as_of]).succeed();
}
