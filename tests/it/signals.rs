//! Signals that end a run, the one that a run started by `nohup` outlives, and limits on the size of files.

use std::os::fd::OwnedFd;

use rustix::process::Signal;

use crate::run_log::lines;
use crate::support::fixture::plain_job;
use crate::support::job::{Place, small_job};
use crate::support::program::{cohorts, on, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, published, tables};
use crate::support::truth::JULY;
use crate::support::{side_by_side, wait_until};

const AS_OF: &[&str] = &["--as-of", JULY.as_of, "--log-format", "json"];

#[test]
fn every_signal_that_ends_a_job_interrupts_it() {
    for signal in [Signal::HUP, Signal::QUIT, Signal::TERM, Signal::INT] {
        let intercom = Scripted::replies(vec![|| Reply::Hang]);
        let place = Place::new();
        // The tests themselves may be run by `nohup`.
        let with_defaults = "exec /usr/bin/env --default-signal=HUP \"$0\" \"$@\"";
        let running = run(&place.job(&small_job(), &intercom.base_url), AS_OF).in_shell(with_defaults).start();
        wait_until("the run asks", || !intercom.requests().is_empty());
        running.signal(signal);
        let finished = running.finish();
        finished.check_code(130);
        let last = lines(&finished, "run").pop().unwrap();
        assert_eq!((&last["outcome"], &last["exit_code"]), (&"interrupted".into(), &130.into()), "{signal:?}");
    }
}

#[test]
fn a_run_that_ignores_a_hangup_goes_on() {
    let simulator = Simulator::at(JULY.as_of, &["--latency", "100ms"]);
    let place = Place::new();
    let file = place.job(&small_job(), &simulator.base_url);
    // What `nohup` does, but for the streams.
    let running = run(&file, AS_OF).in_shell("trap '' HUP").start();
    wait_until("the run asks", || simulator.stats().requests > 0);
    running.signal(Signal::HUP);
    let finished = running.finish();
    finished.check_code(0);
    assert_eq!(lines(&finished, "run").pop().unwrap()["outcome"], "published");
}

#[test]
fn help_and_version_into_a_full_device_fail_like_all_else() {
    let full = || OwnedFd::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["help", "check"], &["schema"], &["completions", "bash"]] {
        let finished = cohorts(arguments).standard_output(full()).finish();
        finished.check_failure(5, &["the result could not be printed", "No space left on device", "disk is full"]);
    }
    // A usage error is no result.
    cohorts(["frobnicate"]).standard_output(full()).standard_error(full()).finish().check_code(2);
}

#[test]
fn a_limit_on_the_size_of_files_is_5_and_what_was_done_is_kept() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let job = plain_job().with_all_formats();
    let undisturbed = Place::new();
    run(&undisturbed.job(&job, &simulator.base_url), AS_OF).succeed();
    let expected = tables(published(&undisturbed.job_folder()));
    // In blocks of 512 bytes: the plan does not fit, then conversations, contacts, and one of the last files, the page.
    let limits = [1, 8, 80, 1_000];
    side_by_side(
        &limits,
        |limit| format!("a limit of {limit} blocks"),
        |limit| {
            let place = Place::new();
            let file = place.job(&job, &simulator.base_url);
            let limited = run(&file, &["--as-of", JULY.as_of]).in_shell(&format!("ulimit -f {limit}")).finish();
            limited.check_failure(5, &["disk is full", "ulimit -f", "LimitFSIZE"]);
            assert!(!place.reports("2026-07").exists(), "half a month was published");
            run(&file, AS_OF).succeed();
            check_same(&tables(published(&place.job_folder())), &expected, "once there is room");
        },
    );
    // Parquet's writer does not pass on why a write failed; there are larger files before the first of it, but not in a rebuild.
    let file = undisturbed.job(&job, &simulator.base_url);
    let report = || on(&file, "report", &["--all"]);
    for limit in [1, 24] {
        report().in_shell(&format!("ulimit -f {limit}")).finish().check_failure(5, &[".parquet", "ulimit -f", "LimitFSIZE"]);
    }
    report().succeed();
    check_same(&tables(published(&undisturbed.job_folder())), &expected, "a rebuild once there is room");
    // A list that is printed into a file.
    let place = Place::new();
    let path = place.folder().join("listed");
    let printed = cohorts(["schema"]).in_shell("ulimit -f 1").standard_output(std::fs::File::create(&path).unwrap()).finish();
    printed.check_failure(5, &["the result could not be printed", "File too large", "ulimit -f"]);
}
