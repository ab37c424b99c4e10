//! Backfills that are killed, that fail, or that meet another process, and are run again.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::LATE;
use crate::resume::{by_stream, finished_streams, stuck};
use crate::support::fixture::plain_job;
use crate::support::job::Place;
use crate::support::program::{backfill, observe_months, on, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::wait_until;

const RANGE: (&str, &str) = ("2026-09", "2026-10");

#[test]
fn a_killed_backfill_goes_on_with_what_it_had_and_holds_the_lock_until_then() {
    let simulator = Simulator::at(LATE, &[]);
    let whole = Place::new();
    backfill(&whole.job(&plain_job(), &simulator.base_url), RANGE, LATE, &[]).succeed();

    let place = Place::new();
    let recorder = stuck(&simulator);
    let file = place.job(&plain_job(), &recorder.base_url);
    let killed = backfill(&file, RANGE, LATE, &[]).start();
    // Three groups and the conversations come to their end; everyone does not.
    wait_until("the other streams are done", || finished_streams(&place) == 4);

    // Another run at the same time is refused with the reason.
    backfill(&file, RANGE, LATE, &[]).finish().check_failure(7, &[".lock"]);
    run(&file, &["--month", "2026-10", "--as-of", LATE]).finish().check_failure(7, &[".lock"]);
    // A dry run changes nothing and needs no lock.
    backfill(&whole.job(&plain_job(), &simulator.base_url), RANGE, LATE, &["--dry-run"]).succeed();

    killed.signal(Signal::KILL);
    killed.finish().check_killed();
    assert_eq!(published(&place.job_folder()), Tree::new(), "nothing is to be seen of a backfill that did not end");
    let status = on(&file, "status", &["--check", "--as-of", LATE]).finish();
    assert_eq!(status.code, Some(8), "{}", status.stdout);
    assert!(
        status.stdout.contains("unfinished work of 2026-09 to 2026-10: `cohorts backfill --from 2026-09 --to 2026-10`"),
        "{}",
        status.stdout
    );
    let reported = on(&file, "status", &["--json", "--as-of", LATE]).succeed();
    let reported: serde_json::Value = serde_json::from_str(&reported.stdout).unwrap();
    assert_eq!(reported["unfinished"], serde_json::json!(["2026-09 to 2026-10"]));

    // A run of one of the months is something else, and takes nothing over.
    let recorder = Scripted::before(simulator.address(), |_| None);
    backfill(&place.job(&plain_job(), &recorder.base_url), RANGE, LATE, &[]).succeed();
    let requests = recorder.requests();
    let fetched: Vec<_> = requests.iter().filter(|request| request.per_page() == Some(20)).cloned().collect();
    assert_eq!(by_stream(&fetched).into_keys().collect::<Vec<_>>(), ["population"], "finished streams are not fetched again");
    check_same(&tables(published(&place.job_folder())), &tables(published(&whole.job_folder())), "killed and uninterrupted");
    assert!(tree(&place.job_folder().join(".work")).is_empty(), "the work is cleared away");
    on(&place.job(&plain_job(), &simulator.base_url), "status", &["--check", "--as-of", LATE]).succeed();
}

#[test]
fn a_backfill_that_fails_in_the_middle_keeps_its_walks_and_the_months_that_were_there() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let job = plain_job().with_intercom("give_up_after = \"2s\"");
    run(&place.job(&job, &simulator.base_url), &["--month", "2026-09", "--as-of", LATE]).succeed();
    let before = published(&place.job_folder());

    let pages = AtomicUsize::new(0);
    let failing = Scripted::before(simulator.address(), move |request| {
        let is_third = request.path() == "/contacts" && pages.fetch_add(1, Ordering::Relaxed) >= 2;
        is_third.then(|| Reply::text(503, "text/plain", "out of order"))
    });
    let failed = observe_months(&place.job(&job, &failing.base_url), ("2026-08", "2026-10"), LATE, &[]).finish();
    failed.check_failure(5, &["2026-08 to 2026-10", "population", "503"]);
    check_same(&published(&place.job_folder()), &before, "what was published before");

    // Of the streams that came to their end before the failure, none is fetched again.
    let done: Vec<String> = ["tag:1373897", "tag:1400074"].map(str::to_string).into();
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe_months(&place.job(&job, &recorder.base_url), ("2026-08", "2026-10"), LATE, &[]).succeed();
    let fetched: Vec<_> = recorder.requests().into_iter().filter(|request| request.per_page() == Some(20)).collect();
    let again = by_stream(&fetched);
    assert!(again.contains_key("population") && done.iter().all(|stream| !again.contains_key(stream)), "{again:?}");
    for month in ["2026-08", "2026-10"] {
        assert_eq!(place.manifest(month)["basis"], "late");
    }
}

#[test]
fn rows_that_do_not_come_are_6_and_the_hint_names_no_flag_that_is_not_there() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |request| {
        let body = serde_json::json!({"type": "list", "data": [], "total_count": 300, "pages": {"type": "pages"}});
        (request.path() == "/contacts").then(|| Reply::json(&body))
    });
    let refused = observe_months(&place.job(&plain_job(), &recorder.base_url), RANGE, LATE, &[]).finish();
    refused.check_failure(6, &["2026-09 to 2026-10", "population", "300"]);
    assert!(!refused.stderr.contains("--accept-incomplete"), "{}", refused.stderr);
    assert_eq!(published(&place.job_folder()), Tree::new());
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe_months(&place.job(&plain_job(), &recorder.base_url), RANGE, LATE, &[]).succeed();
    let fetched: Vec<_> = recorder.requests().into_iter().filter(|request| request.per_page() == Some(20)).collect();
    assert_eq!(by_stream(&fetched).into_keys().collect::<Vec<_>>(), ["population"], "the complete streams are kept");
}
