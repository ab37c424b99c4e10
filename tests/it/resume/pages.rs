//! Streams that go on in the middle: from a cursor, from a page number, and from neither when that cannot be.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::support::fixture::plain_job;

/// Pages of everyone that are asked for in one undisturbed stream: 256 contacts, 20 a page.
const PAGES: usize = 13;

/// A recorder behind which the stream of everyone gets so many pages and then this reply, for ever.
fn cut_after(simulator: &Simulator, pages: usize, reply: fn() -> Reply) -> Scripted {
    let asked = AtomicUsize::new(0);
    Scripted::before(simulator.address(), move |request| {
        let is_of_everyone = request.stream().as_deref() == Some("population") || request.path() == "/users";
        (is_of_everyone && asked.fetch_add(1, Ordering::Relaxed) >= pages).then(reply)
    })
}

fn one_at_a_time() -> Job {
    plain_job().with_intercom("max_concurrency = 1")
}

#[test]
fn a_killed_walk_goes_on_after_its_last_ten_pages() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = cut_after(&simulator, 12, || Reply::Hang);
    let killed = observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).start();
    wait_until("the stream of everyone stands still", || {
        finished_streams(&place) == 4 && by_stream(&recorder.requests()).get("population") == Some(&PAGES)
    });
    killed.signal(Signal::KILL);
    killed.finish().check_killed();

    let recorder = Scripted::before(simulator.address(), |_| None);
    let finished = observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(finished.stderr.contains("resuming where an earlier run stopped"), "{}", finished.stderr);
    // Ten pages are kept; the rest was in memory.
    assert_eq!(by_stream(&recorder.requests()).into_iter().collect::<Vec<_>>(), [("population".to_string(), PAGES - 10)]);
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "gone on with");
    assert!(tree(&place.job_folder().join(".work")).is_empty());
}

#[test]
fn a_walk_that_failed_goes_on_with_the_page_that_failed() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    // The token is revoked in the middle; the run ends with what it has.
    let recorder = cut_after(&simulator, 7, || Reply::text(401, "application/json", "{\"type\":\"error.list\",\"errors\":[]}"));
    let failed = observe(&place.job(&one_at_a_time(), &recorder.base_url), &["--as-of", JULY.as_of]).finish();
    failed.check_failure(3, &["2026-07", "401"]);
    assert_eq!(published(&place.job_folder()), Tree::new());

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&one_at_a_time(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert_eq!(by_stream(&recorder.requests())["population"], PAGES - 7);
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "gone on with");
}

#[test]
fn a_cursor_that_has_expired_meanwhile_costs_the_walk_and_nothing_else() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = cut_after(&simulator, 7, || Reply::text(403, "application/json", "{}"));
    observe(&place.job(&one_at_a_time(), &recorder.base_url), &["--as-of", JULY.as_of]).finish().check_failure(3, &["403"]);
    let first = AtomicUsize::new(0);
    let recorder = Scripted::before(simulator.address(), move |request| {
        let is_resumed = request.stream().as_deref() == Some("population") && request.cursor().is_some();
        (is_resumed && first.fetch_add(1, Ordering::Relaxed) == 0).then(|| {
            let body = serde_json::json!({"type": "error.list", "errors": [{"code": "client_error", "message": "bad cursor"}]});
            Reply::text(400, "application/json", &body.to_string())
        })
    });
    let finished = observe(&place.job(&one_at_a_time(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(finished.stderr.contains("cursor has expired"), "{}", finished.stderr);
    assert_eq!(by_stream(&recorder.requests())["population"], PAGES + 1);
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "fetched again");
}

#[test]
fn a_list_by_page_number_goes_on_at_its_page() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let legacy = || plain_job().with_intercom("api_version = \"1.4\"").with_top("conversations = false");
    let whole = Place::new();
    observe(&whole.job(&legacy(), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();

    let place = Place::new();
    let is_page =
        |request: &Request| request.path() == "/users" && request.parameter("tag_id").or(request.parameter("segment_id")).is_none();
    let recorder = Scripted::before(simulator.address(), move |request| {
        let page: usize = request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(0);
        (is_page(request) && page > 6).then(|| Reply::text(401, "application/json", "{}"))
    });
    observe(&place.job(&legacy(), &recorder.base_url), &["--as-of", JULY.as_of]).finish().check_failure(3, &["401"]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&legacy(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    let asked: BTreeSet<usize> = recorder
        .requests()
        .iter()
        .filter(|request| is_page(request))
        .filter_map(|request| request.parameter("page")?.parse().ok())
        .collect();
    // The first page shows how long the stream is.
    assert!(asked.contains(&1) && asked.contains(&7) && !(2..7).any(|page| asked.contains(&page)), "{asked:?}");
    check_same(&tables(published(&place.job_folder())), &tables(published(&whole.job_folder())), "gone on with");
}

#[test]
fn a_search_of_conversations_that_takes_too_long_is_asked_for_less() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| {
        let is_too_much = request.stream().as_deref() == Some("conversations") && request.per_page() > Some(5);
        is_too_much.then_some(Reply::Hang)
    });
    let job = plain_job().with_intercom("request_timeout = \"6s\"");
    let finished = observe(&place.job(&job, &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(
        finished.stderr.contains("requesting 10 rows at once") && finished.stderr.contains("requesting 5 rows at once"),
        "{}",
        finished.stderr
    );
    let asked: Vec<u64> = recorder
        .requests()
        .iter()
        .filter(|request| request.stream().as_deref() == Some("conversations"))
        .filter_map(Request::per_page)
        .collect();
    assert_eq!(asked[..2], [20, 10]);
    assert!(asked[2..].iter().all(|size| *size == 5), "it stays with what works: {asked:?}");
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "in smaller pages");
    assert_eq!(place.manifest("2026-07")["requests"], recorder.requests().len(), "late answers are counted, too");
}

#[test]
fn work_that_cannot_be_read_is_fetched_again() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &plain_job(), &["--as-of", JULY.as_of]);
    let work = place.job_folder().join(".work/run_month=2026-07");
    fs::write(work.join("tag-1373897/contacts-00000.arrows"), "garbled").unwrap();
    fs::remove_file(work.join("tag-1400074/contacts-00000.arrows")).unwrap();
    let whole = fs::read(work.join("conversations/conversations-00000.arrows")).unwrap();
    fs::write(work.join("conversations/conversations-00000.arrows"), &whole[..whole.len() / 2]).unwrap();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let finished = observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(finished.stderr.contains("cannot be read, so the stream is fetched again"), "{}", finished.stderr);
    let again: Vec<String> = by_stream(&recorder.requests()).into_keys().collect();
    assert_eq!(again, ["conversations", "population", "tag:1373897", "tag:1400074"]);
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "repaired");
}

#[test]
fn work_of_another_month_is_named_and_left_alone() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = cut_after(&simulator, 3, || Reply::text(401, "application/json", "{}"));
    observe(&place.job(&one_at_a_time(), &recorder.base_url), &["--as-of", JULY.as_of]).finish().check_failure(3, &["401"]);
    let work = place.job_folder().join(".work/run_month=2026-07");
    let kept = tree(&work);
    assert!(kept.keys().any(|name| name.ends_with("progress.json")), "{:?}", kept.keys());

    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let finished = observe(&file, &["--as-of", AUGUST.as_of]).succeed();
    assert!(finished.stderr.contains("unfinished work of 2026-07") && finished.stderr.contains("--month 2026-07"), "{}", finished.stderr);
    check_same(&tree(&work), &kept, "the work of July");
}
