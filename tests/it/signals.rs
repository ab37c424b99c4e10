//! Signals that end a run, the one that a run started by `nohup` outlives.

use std::os::fd::OwnedFd;

use rustix::process::Signal;

use crate::run_log::lines;
use crate::support::job::{Place, small_job};
use crate::support::program::{cohorts, run};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;
use crate::support::wait_until;

const AS_OF: &[&str] = &["--as-of", JULY.as_of, "--log-format", "json"];

#[test]
fn every_signal_that_ends_a_job_interrupts_it() {
    for signal in [Signal::HUP, Signal::QUIT, Signal::TERM, Signal::INT] {
        let intercom = Scripted::replies(vec![|| Reply::Hang]);
        let place = Place::new();
        let running = run(&place.job(&small_job(), &intercom.base_url), AS_OF).start();
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
