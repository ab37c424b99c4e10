//! A run that is killed at any instant, and started again, ends with the same bytes; what was published stays.
//!
//! COHORTS_CRASHES says how many instants are tried: a few here, a hundred before a release (see docs/reliability.md).

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::Place;
use crate::support::program::run;
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::truth::AUGUST;

/// August after July, undisturbed: its tables, and how long it takes.
static UNDISTURBED: LazyLock<(Tree, Duration)> = LazyLock::new(|| {
    let simulator = slow();
    let place = Place::with(one_month());
    let begun = Instant::now();
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of]).succeed();
    (tables(published(&place.job_folder())), begun.elapsed())
});

/// Slow enough that fetching is most of the run.
fn slow() -> Simulator {
    Simulator::at(AUGUST.as_of, &["--latency", "40ms"])
}

fn kills() -> usize {
    std::env::var("COHORTS_CRASHES").ok().map_or(8, |text| text.parse().expect("COHORTS_CRASHES is a number"))
}

#[test]
fn whenever_it_is_killed_it_ends_with_the_same_bytes() {
    let (expected, took) = &*UNDISTURBED;
    let july = tree(&one_month().join("snapshots/run_month=2026-07"));
    // Instants by chance; a failure names its own.
    let chance = RandomState::new();
    let instants: Vec<Duration> = (0..kills()).map(|kill| took.mul_f64((chance.hash_one(kill) % 1_000) as f64 / 1_000.0)).collect();
    side_by_side(
        &instants,
        |instant| format!("killed after {instant:?}"),
        |instant| {
            let simulator = slow();
            let place = Place::with(one_month());
            let file = place.job(&plain_job(), &simulator.base_url);
            let running = run(&file, &["--as-of", AUGUST.as_of]).start();
            std::thread::sleep(*instant);
            running.signal(Signal::KILL);
            let ended = running.finish();
            assert!(matches!(ended.code, None | Some(0)), "{:?}: {}", ended.code, ended.stderr);
            check_same(&tree(&place.snapshot("2026-07")), &july, "what was published before");
            if place.snapshot("2026-08").exists() {
                assert!(place.snapshot("2026-08").join("manifest.json").exists(), "a snapshot is whole or not there");
            }
            run(&file, &["--as-of", AUGUST.as_of]).succeed();
            check_same(&tables(published(&place.job_folder())), expected, "killed and run again");
            assert!(tree(&place.job_folder().join(".work")).is_empty(), "nothing is left of the work");
        },
    );
}

#[test]
fn killed_again_and_again_it_gets_there() {
    let (expected, took) = &*UNDISTURBED;
    let simulator = slow();
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), &simulator.base_url);
    for round in 1..=6 {
        let running = run(&file, &["--as-of", AUGUST.as_of]).start();
        std::thread::sleep(took.mul_f64(f64::from(round) / 8.0));
        running.signal(Signal::KILL);
        running.finish();
    }
    run(&file, &["--as-of", AUGUST.as_of]).succeed();
    check_same(&tables(published(&place.job_folder())), expected, "killed six times");
}
