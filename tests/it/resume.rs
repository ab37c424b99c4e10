//! Runs that are killed or interrupted, and run again.

mod incomplete;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::Signal;

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place};
use crate::support::program::{cohorts, observe, run};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::truth::{AUGUST, JULY};
use crate::support::wait_until;

/// How many pages of each stream were asked for.
pub(crate) fn by_stream(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut fetched = BTreeMap::new();
    for stream in requests.iter().filter_map(Request::stream) {
        *fetched.entry(stream).or_default() += 1;
    }
    fetched
}

/// A recorder behind which the stream of everyone never gets its third page.
pub(crate) fn stuck(simulator: &Simulator) -> Scripted {
    let pages = std::sync::atomic::AtomicUsize::new(0);
    Scripted::before(simulator.address(), move |request| {
        let is_third = request.path() == "/contacts" && pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2;
        is_third.then_some(Reply::Hang)
    })
}

/// A run of July that is killed when all of its streams are done but that of everyone.
pub(crate) fn killed(simulator: &Simulator, place: &Place, job: &Job, arguments: &[&str]) -> Scripted {
    let recorder = stuck(simulator);
    let killed = observe(&place.job(job, &recorder.base_url), arguments).start();
    wait_until("the other streams are done", || {
        finished_streams(place) == 4 && by_stream(&recorder.requests()).get("population") == Some(&3)
    });
    killed.signal(Signal::KILL);
    killed.finish().check_killed();
    recorder
}

/// Streams that are whole on disk. Looks at names only: a run is writing there, and files come and go.
pub(crate) fn finished_streams(place: &Place) -> usize {
    let folders =
        |folder: &std::path::Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let months = folders(&place.job_folder().join(".work"));
    months.iter().flat_map(|month| folders(month)).filter(|stream| stream.join("walk.json").exists()).count()
}

#[test]
fn what_was_observed_at_the_months_end_is_kept_when_the_run_goes_on_after_it() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &plain_job(), &["--as-of", JULY.as_of]);

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&plain_job(), &recorder.base_url), &["--month", "2026-07", "--as-of", "2026-08-20T00:00:00Z"]).succeed();
    assert_eq!(by_stream(&recorder.requests()).keys().collect::<Vec<_>>(), ["population"]);
    for cohort in place.manifest("2026-07")["cohorts"].as_array().unwrap() {
        assert_eq!(cohort["basis"], "month_end", "{cohort}");
        assert_eq!(cohort["observed_at"], JULY.as_of, "{cohort}");
    }
}

#[test]
fn runs_at_the_same_time_publish_once_and_say_who_was_first() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    for _ in 0..4 {
        let place = Place::new();
        let file = place.job(&plain_job(), &simulator.base_url);
        let running: Vec<_> = (0..3).map(|_| observe(&file, &["--as-of", JULY.as_of]).start()).collect();
        let ended: Vec<_> = running.into_iter().map(|run| run.finish()).collect();
        for finished in &ended {
            assert!(matches!(finished.code, Some(0 | 7)), "{:?}\n{}", finished.code, finished.stderr);
        }
        assert!(ended.iter().any(|finished| finished.code == Some(0)));
        check_same(&tables(published(&place.job_folder()).into_iter().collect()), &tables(one_month_as_observed()), "who came first");
    }
}

#[test]
fn a_killed_run_goes_on_with_what_it_had() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    // Three groups and the conversations come to their end; everyone does not.
    killed(&simulator, &place, &plain_job(), &["--as-of", JULY.as_of]);
    assert_eq!(published(&place.job_folder()), Tree::new(), "nothing is to be seen of a run that did not end");

    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    let again = by_stream(&recorder.requests());
    assert_eq!(again.keys().collect::<Vec<_>>(), ["population"], "finished streams are not fetched again");
    let uninterrupted = tables(published(&place.job_folder()).into_iter().collect());
    let expected = tables(one_month_as_observed());
    check_same(&uninterrupted, &expected, "resumed and uninterrupted");
    assert!(tree(&place.job_folder().join(".work")).is_empty(), "the work is cleared away");
}

fn one_month_as_published() -> Tree {
    published(one_month())
}

/// Its snapshot: reports and history follow from it.
fn one_month_as_observed() -> Tree {
    one_month_as_published().into_iter().filter(|(path, _)| path.starts_with("snapshots/")).collect()
}

#[test]
fn work_is_not_taken_over_when_it_has_grown_old() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    // The clock of the first run stands two days before that of the second.
    killed(&simulator, &place, &plain_job(), &["--as-of", "2026-07-31T23:30:00Z"]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    let again: BTreeSet<String> = by_stream(&recorder.requests()).into_keys().collect();
    assert_eq!(again.len(), 5, "all pages of a cohort come from within 24 hours: {again:?}");
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "fetched again");
}

#[test]
fn work_of_a_month_before_its_end_is_not_taken_over_after_it() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &plain_job(), &["--month", "2026-07", "--as-of", "2026-07-31T22:30:00Z"]);
    let file = place.job(&plain_job(), &simulator.base_url);
    observe(&file, &["--as-of", "2026-07-31T23:30:00Z"]).succeed();
    let manifest = place.manifest("2026-07");
    assert_eq!(manifest["basis"], "month_end");
    for cohort in manifest["cohorts"].as_array().unwrap() {
        assert_eq!(cohort["basis"], "month_end", "{cohort}");
    }
}

#[test]
fn an_interrupted_run_is_130_and_shows_nothing() {
    let simulator = Simulator::at(AUGUST.as_of, &["--latency", "200ms"]);
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::with(one_month());
        let before = published(&place.job_folder());
        let file = place.job(&plain_job().with_intercom("max_concurrency = 1"), &simulator.base_url);
        let asked = simulator.stats().requests;
        let running = observe(&file, &["--as-of", AUGUST.as_of]).start();
        wait_until("some pages came", || simulator.stats().requests > asked + 5);
        running.signal(signal);
        running.finish().check_failure(130, &["interrupted"]);
        check_same(&published(&place.job_folder()), &before, "what was published before");
    }
}

#[test]
fn the_complete_walks_of_an_incomplete_month_are_kept() {
    // Nobody comes whole of everyone: the month is refused, and the groups need not be asked for again.
    let faulty = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let recorder = Scripted::before(faulty.address(), |request| {
        let body = serde_json::json!({"type": "list", "data": [], "total_count": 300, "pages": {"type": "pages"}});
        (request.path() == "/contacts").then(|| Reply::json(&body))
    });
    let file = place.job(&plain_job(), &recorder.base_url);
    observe(&file, &["--as-of", JULY.as_of]).finish().check_failure(6, &["population", "300"]);
    assert_eq!(by_stream(&recorder.requests())["population"], 2, "a second stream before giving up");
    let recorder = Scripted::before(faulty.address(), |_| None);
    observe(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert_eq!(by_stream(&recorder.requests()).into_keys().collect::<Vec<_>>(), ["population"]);
    check_same(&tables(published(&place.job_folder())), &tables(one_month_as_observed()), "resumed");
}

#[test]
fn a_crash_in_the_middle_of_a_swap_loses_nothing() {
    let whole = one_month_as_published();
    let simulator = Simulator::at(JULY.as_of, &[]);
    // A swap moves the old folder aside, puts the new one in its place, and removes the old one.
    for table in ["snapshots", "history", "reports"] {
        for has_new in [false, true] {
            let place = Place::with(one_month());
            let shown = place.job_folder().join(table).join("run_month=2026-07");
            let aside = place.job_folder().join(table).join(".run_month=2026-07");
            if has_new {
                fs::create_dir(&aside).unwrap();
                fs::write(aside.join("manifest.json"), "{}").unwrap();
            } else {
                fs::rename(&shown, &aside).unwrap();
            }
            let file = place.job(&plain_job(), &simulator.base_url);
            let finished = run(&file, &["--as-of", JULY.as_of]).succeed();
            assert!(finished.stdout.contains("published already"), "{table}, {has_new}: {}", finished.stdout);
            check_same(&published(&place.job_folder()), &whole, &format!("{table}, {has_new}"));
        }
    }
}

#[test]
fn what_a_crash_left_half_written_is_never_shown() {
    let place = Place::with(one_month());
    let staged = place.job_folder().join(".work/staged-report-2026-07");
    fs::create_dir_all(&staged).unwrap();
    fs::write(staged.join("members.csv"), "half").unwrap();
    fs::remove_dir_all(place.reports("2026-07")).unwrap();
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    cohorts(["report", "--job"]).arguments(&[file.to_str().unwrap()]).succeed();
    check_same(&published(&place.job_folder()), &one_month_as_published(), "rebuilt");
    assert!(!staged.exists());
}
