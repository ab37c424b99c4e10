//! `tag_history = "applied_at"`: members worked out from when their tags were put on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::{LATE, held, snapshot};
use crate::support::job::{Job, Place, small_job, texts};
use crate::support::program::{backfill, observe_months, on};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::count;
use crate::support::tree::{check_same, published, tables};
use crate::support::truth::{AUGUST, JULY, SEPTEMBER, Truth, instant};
use crate::support::wait_until;
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

const APPLIED_AT: &str = "tag_history = \"applied_at\"";
const TAGS: [(&str, &str); 3] = [("1373897", "value_lead"), ("1400074", "VIP"), ("1400111", "churn risk")];

/// Tags alone, nobody else, no conversations.
fn tags_only() -> Job {
    Job { tags: texts(&TAGS.map(|(_, name)| name)), ..small_job() }.with_top(APPLIED_AT)
}

/// Whom requests for the tags of a contact were about, in their order.
fn asked(requests: &[Request]) -> Vec<String> {
    let about = |request: &Request| Some(request.path().strip_prefix("/contacts/")?.strip_suffix("/tags")?.to_string());
    requests.iter().filter(|request| request.method == "GET").filter_map(about).collect()
}

fn distinct(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

/// The members that a month's snapshot holds of each cohort.
fn members(place: &Place, month: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in place.snapshot_table(month, "members").rows_by_name() {
        members.entry(row["cohort_key"].shown()).or_default().insert(row["contact_id"].shown());
    }
    members
}

/// Who holds the tag now, and got it before the instant.
fn tagged_before(simulator: &Simulator, tag: &str, end: &str) -> BTreeSet<String> {
    simulator.applied(tag).into_iter().filter(|(_, at)| *at < instant(end)).map(|(id, _)| id).collect()
}

#[test]
fn tags_are_reconstructed_from_their_dates_and_segments_stay_late() {
    let simulator = Simulator::at(LATE, &["--contacts", "1000"]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let job = Job { segments: texts(&["Active"]), ..tags_only() };
    let file = place.job(&job, &recorder.base_url);
    let planned = backfill(&file, ("2026-07", "2026-09"), LATE, &["--dry-run"]).succeed();
    assert!(planned.stdout.contains("tag_dates"), "{}", planned.stdout);
    assert_eq!(asked(&recorder.requests()), [] as [&str; 0], "a dry run asks about nobody");
    backfill(&file, ("2026-07", "2026-09"), LATE, &[]).succeed();

    let holders: BTreeMap<&str, BTreeMap<_, _>> = TAGS.iter().map(|(id, _)| (*id, simulator.applied(id))).collect();
    let anyone: BTreeSet<String> = holders.values().flat_map(|holders| holders.keys().cloned()).collect();
    let several = holders.values().map(BTreeMap::len).sum::<usize>() - anyone.len();
    assert!(several > 0, "this world has contacts with several of the tags");
    let about = asked(&recorder.requests());
    assert_eq!(distinct(&about), anyone, "every holder is asked about, and nobody else");
    assert_eq!(about.len(), anyone.len(), "each once, whichever tags it has");

    let active: BTreeSet<String> = simulator.members("segment:63bbdd50aa01c0ffee000001").into_iter().collect();
    for month in [JULY, AUGUST, SEPTEMBER] {
        let found = members(&place, month.name);
        let findings = place.report(month.name, "data_quality").rows_by_name();
        let summary = place.report(month.name, "cohort_summary").keyed(&["cohort_key"]);
        assert_eq!(found["segment:63bbdd50aa01c0ffee000001"], active);
        for (id, _) in TAGS {
            let key = format!("tag:{id}");
            let expected = tagged_before(&simulator, id, month.end);
            // Nobody has got VIP for long.
            let differs = !expected.is_empty() && (expected.len() < holders[id].len() || *id == *"1400074");
            assert!(differs, "{key} of {} shows nothing", month.name);
            assert_eq!(found[&key], expected, "{key} of {}", month.name);
            let row = &summary[&vec![key.clone()]];
            assert_eq!((row["basis"].shown(), &row["members"]), ("reconstructed".to_string(), &count(expected.len() as i64)));
            assert!(row["compared_month"].shown().is_empty() && row["joined"].shown().is_empty(), "{row:?}");
            let reported = findings.iter().find(|row| row["check_name"].shown() == "reconstructed" && row["subject"].shown() == key);
            let reported = reported.unwrap_or_else(|| panic!("nothing is said of {key}: {findings:?}"));
            let numbers = (reported["value"].shown(), reported["expected"].shown());
            assert_eq!(numbers, (expected.len().to_string(), holders[id].len().to_string()));
            assert!(reported["detail"].shown().contains("lower bound"), "{reported:?}");
        }
        let manifest = place.manifest(month.name);
        assert_eq!(manifest["basis"], "late", "the worst of the cohorts'");
        for cohort in manifest["cohorts"].as_array().unwrap() {
            let key = cohort["cohort_key"].as_str().unwrap();
            assert_eq!(cohort["basis"], if key.starts_with("tag:") { "reconstructed" } else { "late" }, "{cohort}");
            assert_eq!(cohort["members"], found[key].len(), "{cohort}");
        }
    }
}

#[test]
fn what_is_reconstructed_replaces_what_is_late_unasked_and_not_the_other_way() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let range = ("2026-08", "2026-09");
    let plain = Job { tags: texts(&TAGS.map(|(_, name)| name)), ..small_job() };
    let backfilled = |job: &Job, arguments: &[&str]| observe_months(&place.job(job, &simulator.base_url), range, LATE, arguments).succeed();
    let bases = || ["2026-08", "2026-09"].map(|month| held(&place, month).0);
    backfilled(&plain, &[]);
    assert_eq!(bases(), ["late", "late"]);
    let better = backfilled(&tags_only(), &[]);
    assert!(better.stdout.contains("2026-08 published, basis reconstructed"), "{}", better.stdout);
    assert_eq!(bases(), ["reconstructed", "reconstructed"]);
    assert_eq!(members(&place, "2026-08")["tag:1373897"], tagged_before(&simulator, "1373897", AUGUST.end));

    let before = published(&place.job_folder());
    for arguments in [&["--replace"][..], &[]] {
        let kept = backfilled(&plain, arguments);
        assert!(kept.stdout.contains("2026-08 is published already, basis reconstructed"), "{}", kept.stdout);
        check_same(&published(&place.job_folder()), &before, "a late look at a reconstructed month");
    }
    // A month of a single run is late, and reconstructed, too.
    let job = place.job(&tags_only(), &simulator.base_url);
    on(&job, "run", &["--month", "2026-07", "--as-of", LATE]).succeed();
    assert_eq!(held(&place, "2026-07").0, "reconstructed");
    assert_eq!(members(&place, "2026-07")["tag:1400074"], tagged_before(&simulator, "1400074", JULY.end));
}

#[test]
fn a_month_seen_in_time_needs_no_dates() {
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let file = place.job(&tags_only(), &recorder.base_url);
    on(&file, "run", &["--as-of", SEPTEMBER.as_of]).succeed();
    assert_eq!(held(&place, "2026-09").0, "month_end");
    assert_eq!(asked(&recorder.requests()), [] as [&str; 0]);
    // Beside a late one it is what was seen, though dates are read.
    observe_months(&file, ("2026-08", "2026-09"), SEPTEMBER.as_of, &["--replace"]).succeed();
    assert_eq!((held(&place, "2026-08").0.as_str(), held(&place, "2026-09").0.as_str()), ("reconstructed", "month_end"));
    let seen = members(&place, "2026-09");
    let truth = Truth::ask(&simulator, &SEPTEMBER, &[("tag:1373897", "value_lead")]);
    assert_eq!(seen["tag:1373897"], truth.cohorts[0].holds);
}

#[test]
fn whoever_was_asked_about_is_not_asked_about_again_but_for_one_batch() {
    let simulator = Simulator::at(LATE, &["--contacts", "1500", "--big-tag", "1100"]);
    let job = Job { tags: texts(&["bulk import", "value_lead"]), ..small_job() }.with_top(APPLIED_AT);
    let range = ("2026-08", "2026-09");
    let whole = Place::new();
    observe_months(&whole.job(&job, &simulator.base_url), range, LATE, &[]).succeed();

    // After 800 answers nothing more is heard.
    let answered = AtomicUsize::new(0);
    let silent = Scripted::before(simulator.address(), move |request| {
        let is_late = request.path().ends_with("/tags") && request.path() != "/tags" && answered.fetch_add(1, Ordering::Relaxed) >= 800;
        is_late.then_some(Reply::Hang)
    });
    let place = Place::new();
    let killed = backfill(&place.job(&job, &silent.base_url), range, LATE, &[]).start();
    wait_until("the answers end", || asked(&silent.requests()).len() > 800);
    let batch = place.job_folder().join(".work/backfill=2026-08_2026-09/tag_dates/tag_dates-00000.arrows");
    wait_until("a batch is on disk", || batch.exists());
    killed.signal(Signal::KILL);
    killed.finish().check_killed();
    let first = asked(&silent.requests());
    let status = on(&place.job(&job, &silent.base_url), "status", &["--check", "--as-of", LATE]).finish();
    assert_eq!(status.code, Some(8));
    assert!(status.stdout.contains("2026-08 to 2026-09"), "{}", status.stdout);

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe_months(&place.job(&job, &recorder.base_url), range, LATE, &[]).succeed();
    let second = asked(&recorder.requests());
    assert!(recorder.requests().iter().all(|request| request.stream().is_none() || request.per_page() == Some(1)), "the streams were done");
    let again = distinct(&first).intersection(&distinct(&second)).count();
    assert!(again <= 500, "{again} are asked about again");
    assert_eq!(distinct(&second).len(), second.len(), "nobody twice");
    let all: BTreeSet<String> = first.into_iter().chain(second).collect();
    let holders = ["bulk import", "value_lead"].map(|name| {
        let state = simulator.state();
        let group = state["groups"].as_array().unwrap().iter().find(|group| group["name"] == name).unwrap()["group"].clone();
        simulator.members(group.as_str().unwrap())
    });
    assert_eq!(all, holders.concat().into_iter().collect());
    check_same(&tables(published(&place.job_folder())), &tables(published(&whole.job_folder())), "interrupted and uninterrupted");
}

#[test]
fn what_was_answered_before_an_error_is_kept() {
    let simulator = Simulator::at(LATE, &[]);
    let range = ("2026-08", "2026-09");
    let holders: BTreeSet<String> = TAGS.iter().flat_map(|(id, _)| simulator.applied(id).into_keys()).collect();
    let unlucky = holders.iter().nth(holders.len() / 2).unwrap().clone();
    let path = format!("/contacts/{unlucky}/tags");
    let failing =
        Scripted::before(simulator.address(), move |request| (request.path() == path).then(|| Reply::text(500, "text/plain", "no")));
    let place = Place::new();
    let job = tags_only().with_intercom("give_up_after = \"2s\"");
    observe_months(&place.job(&job, &failing.base_url), range, LATE, &[]).finish().check_failure(5, &["2026-08 to 2026-09", "500"]);
    let first = distinct(&asked(&failing.requests()));

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe_months(&place.job(&job, &recorder.base_url), range, LATE, &[]).succeed();
    let second = asked(&recorder.requests());
    let again: BTreeSet<String> = distinct(&second).intersection(&first).cloned().collect();
    // Those whose answers were under way with it are asked about again; the default is sixteen at once.
    assert!(again.contains(&unlucky) && again.len() <= 16, "{} of {} again", again.len(), first.len());
    assert_eq!(members(&place, "2026-08")["tag:1373897"], tagged_before(&simulator, "1373897", AUGUST.end));
}

#[test]
fn a_damaged_chunk_of_answers_is_asked_again_and_hides_no_others() {
    let simulator = Simulator::at(LATE, &["--contacts", "1500", "--big-tag", "1100"]);
    let job = Job { tags: texts(&["bulk import"]), ..small_job() }.with_top(APPLIED_AT).with_intercom("give_up_after = \"1s\"");
    let range = ("2026-08", "2026-09");
    let whole = Place::new();
    observe_months(&whole.job(&job, &simulator.base_url), range, LATE, &[]).succeed();

    // Two chunks, and an error.
    let answered = AtomicUsize::new(0);
    let failing = Scripted::before(simulator.address(), move |request| {
        let is_late = request.path().ends_with("/tags") && request.path() != "/tags" && answered.fetch_add(1, Ordering::Relaxed) >= 800;
        is_late.then(|| Reply::text(500, "text/plain", "no"))
    });
    let place = Place::new();
    observe_months(&place.job(&job, &failing.base_url), range, LATE, &[]).finish().check_failure(5, &["500"]);
    let answers = place.job_folder().join(".work/backfill=2026-08_2026-09/tag_dates");
    let chunk = |index: usize| answers.join(format!("tag_dates-{index:05}.arrows"));
    let holds = |index: usize, id: &str| memchr::memmem::find(&std::fs::read(chunk(index)).unwrap(), id.as_bytes()).is_some();
    let asked_first = distinct(&asked(&failing.requests()));
    let in_second: BTreeSet<String> = asked_first.iter().filter(|id| holds(1, id)).cloned().collect();
    assert!(in_second.len() > 200, "{} in the second chunk", in_second.len());
    let mut bytes = std::fs::read(chunk(0)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(chunk(0), bytes).unwrap();
    // An earlier version kept its answers so.
    std::fs::write(answers.join("tag_dates-00000.parquet"), in_second.first().unwrap()).unwrap();

    // Somebody who is forgotten meanwhile is in nothing that is left, damaged or not.
    let forgetful = Place::with(&place.job_folder());
    let gone = in_second.first().unwrap();
    on(&forgetful.job(&job, "http://127.0.0.1:9"), "forget", &["--contact", gone]).succeed();
    let left = crate::support::tree::tree(&forgetful.job_folder());
    assert!(left.keys().any(|name| name.ends_with("tag_dates-00001.arrows")));
    let holders: Vec<&String> =
        left.iter().filter(|(_, bytes)| memchr::memmem::find(bytes, gone.as_bytes()).is_some()).map(|(name, _)| name).collect();
    assert_eq!(holders, [] as [&String; 0]);

    let recorder = Scripted::before(simulator.address(), |_| None);
    let again = observe_months(&place.job(&job, &recorder.base_url), range, LATE, &[]).succeed();
    assert!(again.stderr.contains("tag_dates-00000.arrows") && again.stderr.contains("asked again"), "{}", again.stderr);
    let second = asked(&recorder.requests());
    assert!(second.iter().all(|id| !in_second.contains(id)), "what could be read is not asked again");
    assert!(second.len() >= 800, "{} were asked: those of the damaged chunk, and those who were not asked yet", second.len());
    check_same(&tables(published(&place.job_folder())), &tables(published(&whole.job_folder())), "damaged and undisturbed");
}

#[test]
fn holders_who_are_gone_or_without_a_date_are_left_out_and_reported() {
    let ids: Vec<String> = (1..=4).map(contact_id).collect();
    let workspace = Workspace {
        id: "dates".to_string(),
        contacts: ids.iter().map(|id| (id.clone(), contact(id, 1_700_000_000))).collect(),
        tags: [("5".to_string(), ("customers".to_string(), ids.iter().cloned().collect()))].into(),
        ..Workspace::default()
    };
    let server = workspace.serve(plainly);
    let address = server.base_url.trim_start_matches("http://").to_string();
    let gone = ids[3].clone();
    let answers = ids.clone();
    let recorder = Scripted::before(&address, move |request| {
        let id = request.path().strip_prefix("/contacts/")?.strip_suffix("/tags")?;
        let applied_at = match answers.iter().position(|known| known == id)? {
            // Before the month's end, at it, not given.
            0 => serde_json::json!(instant(SEPTEMBER.end).timestamp() - 1),
            1 => serde_json::json!(instant(SEPTEMBER.end).timestamp()),
            2 => serde_json::Value::Null,
            _ => {
                return Some(Reply::text(
                    404,
                    "application/json",
                    r#"{"type": "error.list", "errors": [{"code": "not_found", "message": "User Not Found"}]}"#,
                ));
            }
        };
        Some(Reply::json(
            &serde_json::json!({"type": "list", "data": [{"type": "tag", "id": "5", "name": "customers", "applied_at": applied_at}]}),
        ))
    });
    let place = Place::new();
    let job = Job { tags: texts(&["customers"]), ..small_job() }.with_top(APPLIED_AT);
    backfill(&place.job(&job, &recorder.base_url), ("2026-09", "2026-09"), LATE, &[]).succeed();
    assert_eq!(members(&place, "2026-09")["tag:5"], BTreeSet::from([ids[0].clone()]), "not {gone}");
    let findings = place.report("2026-09", "data_quality").rows_by_name();
    let value = |check: &str| findings.iter().find(|row| row["check_name"].shown() == check).map(|row| row["value"].shown());
    assert_eq!((value("reconstructed").as_deref(), value("tag_date_missing").as_deref()), (Some("1"), Some("1")), "{findings:?}");
    assert!(!snapshot(&place, "2026-09").is_empty());
}

#[test]
fn a_version_without_dates_is_a_mistake_of_the_configuration() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let job = tags_only().with_intercom("api_version = \"1.4\"");
    let asked = simulator.stats().requests;
    let refused = backfill(&place.job(&job, &simulator.base_url), ("2026-08", "2026-09"), LATE, &[]).finish();
    refused.check_failure(2, &["tag_history", "applied_at", "api_version", "job.toml"]);
    let unknown = small_job().with_top("tag_history = \"applied\"");
    let refused = backfill(&place.job(&unknown, &simulator.base_url), ("2026-08", "2026-09"), LATE, &[]).finish();
    refused.check_failure(2, &["tag_history", "applied_at", "current"]);
    assert_eq!(simulator.stats().requests, asked);
}
