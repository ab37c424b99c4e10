//! Months in buckets of real servers, through the program. `.ci/stores` starts the servers and sets these variables:
//!
//! - `COHORTS_TEST_BUCKETS`: addresses of buckets, with blanks between them; `COHORTS_TEST_VERSIONED`: one that keeps old versions
//! - `AWS_…`, `AZURE_…`: what the stores need; the endpoint of the versioned one is in `COHORTS_TEST_VERSIONED_ENDPOINT`
//! - `COHORTS_RACES` and `COHORTS_CRASHES`: how often two runs race, and how often a run is killed

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::forget::files_with;
use crate::support::fixture::{one_month, plain_job};
use crate::support::http::send;
use crate::support::job::{NAME, Place};
use crate::support::program::{Program, on, run};
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tables};
use crate::support::truth::{AUGUST, JULY};
use crate::support::wait_until;

/// A machine that works on a job in a bucket: it has a folder of its own for unfinished work.
struct Machine<'a> {
    bucket: &'a str,
    endpoint: Option<String>,
    work: PathBuf,
}

impl Machine<'_> {
    /// The program with the environment of the stores.
    fn with(&self, program: Program) -> Program {
        let of_stores = |name: &str| ["AWS_", "AZURE_", "AZURITE_"].iter().any(|prefix| name.starts_with(prefix));
        let variables = std::env::vars().filter(|(name, _)| of_stores(name));
        let program = variables.fold(program, |program, (name, value)| program.variable(&name, value));
        let program = match &self.endpoint {
            Some(endpoint) => program.variable("AWS_ENDPOINT", endpoint),
            None => program,
        };
        program.variable("COHORTS__OUTPUT__DIR", self.bucket).variable("COHORTS__OUTPUT__WORK_DIR", &self.work)
    }

    /// The job in the bucket, copied to a folder.
    fn copied(&self, file: &Path) -> Tree {
        published(&self.copy(file).job_folder())
    }

    fn copy(&self, file: &Path) -> Place {
        let there = Place::new();
        self.with(on(file, "copy", &["--to", there.output().to_str().unwrap()])).succeed();
        there
    }
}

/// A place in a bucket that nobody has used.
fn unused(bucket: &str) -> String {
    let chance = RandomState::new().hash_one(Instant::now());
    format!("{bucket}/it-{}-{chance:016x}", std::process::id())
}

fn buckets() -> Vec<String> {
    let addresses = std::env::var("COHORTS_TEST_BUCKETS").expect("`.ci/stores` sets COHORTS_TEST_BUCKETS");
    addresses.split_whitespace().map(unused).collect()
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().unwrap())
}

/// July and August in a folder.
fn two_months() -> Place {
    let place = Place::with(one_month());
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of]).succeed();
    place
}

#[test]
#[ignore = "needs the servers of .ci/stores"]
fn months_in_a_bucket_are_those_of_a_folder() {
    let expected = two_months();
    let expected = published(&expected.job_folder());
    for bucket in buckets() {
        let place = Place::new();
        let machine = |name: &str| Machine { bucket: &bucket, endpoint: None, work: place.folder().join(name) };
        let (here, there) = (machine("here"), machine("there"));
        let mut file = PathBuf::new();
        for month in [&JULY, &AUGUST] {
            let simulator = Simulator::at(month.as_of, &[]);
            file = place.job(&plain_job(), &simulator.base_url);
            here.with(run(&file, &["--as-of", month.as_of])).succeed();
        }
        check_same(&tables(here.copied(&file)), &tables(expected.clone()), &bucket);
        assert!(!place.output().exists(), "{bucket}: nothing is written where no bucket is named");

        // Another machine goes on with it.
        let again = there.with(run(&file, &["--month", "2026-08", "--as-of", AUGUST.as_of])).succeed();
        assert!(again.stdout.contains("published already"), "{}", again.stdout);
        let before = here.copied(&file);
        there.with(on(&file, "report", &["--all"])).succeed();
        check_same(&there.copied(&file), &before, &bucket);
        there.with(on(&file, "status", &["--check", "--as-of", AUGUST.as_of])).succeed();
        let checked = there.with(on(&file, "check", &["--json"])).finish();
        assert!(checked.stdout.contains("honours conditional writes"), "{checked:?}");

        // A person is in nothing that is kept, here or there.
        let id = Place::with(one_month()).snapshot_table("2026-07", "contacts").texts("contact_id").remove(3);
        assert!(!files_with(&there.copy(&file).job_folder(), &id).is_empty(), "{bucket}: there is somebody to forget");
        let forgotten = there.with(on(&file, "forget", &["--contact", &id])).finish();
        // Azure's store is not asked for old versions.
        forgotten.check_code(if bucket.starts_with("az://") { 6 } else { 0 });
        assert_eq!(files_with(&there.copy(&file).job_folder(), &id), Vec::<String>::new(), "{bucket}");
        assert_eq!(files_with(&there.work, &id), Vec::<String>::new(), "{bucket}: the cache of this machine");
        there.with(on(&file, "status", &["--check", "--as-of", AUGUST.as_of])).succeed();
    }
}

#[test]
#[ignore = "needs the servers of .ci/stores"]
fn of_two_machines_one_publishes() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    for bucket in buckets() {
        let mut locked = 0;
        for race in 0..number("COHORTS_RACES", 4) {
            let bucket = format!("{bucket}/race-{race}");
            let machines = ["one", "other"].map(|name| Machine { bucket: &bucket, endpoint: None, work: place.folder().join(name) });
            let runs = machines.each_ref().map(|machine| machine.with(run(&file, &["--as-of", JULY.as_of])).start());
            let ended = runs.map(|running| running.finish());
            let codes = ended.each_ref().map(|ended| ended.code);
            match codes {
                [Some(0), Some(7)] | [Some(7), Some(0)] => locked += 1,
                // One had ended before the other began.
                [Some(0), Some(0)] => assert!(ended.iter().any(|ended| ended.stdout.contains("published already")), "{ended:?}"),
                _ => panic!("{ended:?}"),
            }
            check_same(&tables(machines[0].copied(&file)), &tables(published(one_month())), &bucket);
        }
        assert!(locked > 0, "{bucket}: no two runs met");
    }
}

#[test]
#[ignore = "needs the servers of .ci/stores"]
fn whenever_it_is_killed_any_machine_ends_it_with_the_same_bytes() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &["--latency", "10ms"]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let bucket = &buckets()[0];
    let chance = RandomState::new();
    let begun = Instant::now();
    let machine = |bucket: &'static str, name: &str| Machine { bucket, endpoint: None, work: place.folder().join(name) };
    machine(Box::leak(format!("{bucket}/whole").into_boxed_str()), "whole").with(run(&file, &["--as-of", JULY.as_of])).succeed();
    let took = begun.elapsed();
    for kill in 0..number("COHORTS_CRASHES", 4) {
        let bucket: &'static str = Box::leak(format!("{bucket}/kill-{kill}").into_boxed_str());
        let instant = took.mul_f64((chance.hash_one(kill) % 1_000) as f64 / 1_000.0);
        let running = machine(bucket, "killed").with(run(&file, &["--as-of", JULY.as_of])).start();
        std::thread::sleep(instant);
        running.signal(Signal::KILL);
        running.finish();
        // On the same machine, or on one that has nothing.
        let other = machine(bucket, if kill % 2 == 0 { "killed" } else { "other" });
        let ended = other.with(run(&file, &["--as-of", JULY.as_of])).with_limit(Duration::from_secs(150)).finish();
        assert_eq!(ended.code, Some(0), "killed after {instant:?}: {}", ended.stderr);
        check_same(&tables(other.copied(&file)), &tables(published(one_month())), &format!("killed after {instant:?}"));
    }
}

#[test]
#[ignore = "needs the servers of .ci/stores"]
fn what_another_run_published_meanwhile_is_kept() {
    let bucket = buckets().into_iter().find(|bucket| bucket.starts_with("s3://")).unwrap();
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &["--latency", "100ms"]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let machine = Machine { bucket: &bucket, endpoint: None, work: place.folder().join("work") };
    let endpoint = std::env::var("AWS_ENDPOINT").unwrap();
    let address = endpoint.strip_prefix("http://").unwrap();
    let path = format!("{}/{NAME}/snapshots/run_month=2026-07/manifest.json", bucket.strip_prefix("s3:/").unwrap());
    let running = machine.with(run(&file, &["--as-of", JULY.as_of])).start();
    wait_until("it fetches", || simulator.stats().requests > 3);
    assert_eq!(send(address, "PUT", &path, &[], b"{\"of\": \"another run\"}").status, 200);
    let ended = running.finish();
    ended.check_failure(7, &["no longer has the job's lock", "another process"]);
    assert_eq!(send(address, "GET", &path, &[], b"").body, b"{\"of\": \"another run\"}");
}

#[test]
#[ignore = "needs the servers of .ci/stores"]
fn nobody_stays_in_old_versions() {
    let bucket = unused(&std::env::var("COHORTS_TEST_VERSIONED").unwrap());
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let endpoint = Some(std::env::var("COHORTS_TEST_VERSIONED_ENDPOINT").unwrap());
    let address = endpoint.clone().unwrap().strip_prefix("http://").unwrap().to_string();
    let machine = Machine { bucket: &bucket, endpoint, work: place.folder().join("work") };
    machine.with(run(&file, &["--as-of", JULY.as_of])).succeed();
    machine.with(run(&file, &["--as-of", JULY.as_of, "--replace"])).succeed();
    let id = Place::with(one_month()).snapshot_table("2026-07", "contacts").texts("contact_id").remove(3);
    let forgotten = machine.with(on(&file, "forget", &["--contact", &id])).succeed();
    assert!(forgotten.stdout.contains("old versions removed"), "{}", forgotten.stdout);
    // Nor is the list of those who were to be forgotten.
    let (name, prefix) = bucket.strip_prefix("s3://").unwrap().split_once('/').unwrap();
    let versions = send(&address, "GET", &format!("/{name}?versions&prefix={prefix}"), &[], b"");
    let listed = String::from_utf8(versions.body).unwrap();
    assert!(listed.contains("manifest.json") && !listed.contains("forgetting.json"), "{listed}");
    let again = machine.with(on(&file, "forget", &["--contact", &id])).succeed();
    assert!(again.stdout.contains("keeps nothing about this person"), "{}", again.stdout);
    machine.with(on(&file, "status", &["--check", "--as-of", JULY.as_of])).succeed();
}
