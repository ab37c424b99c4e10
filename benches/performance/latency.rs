//! Answers take 300 ms: what the job takes beyond what limit and latency impose on anybody.

use std::time::Duration;

use super::job::Job;
use super::server::{Intercom, Server};
use super::table::{Figure, seconds, whole};
use super::{Bench, Failure};

const CONTACTS: usize = 100_000;
const LATENCY: Duration = Duration::from_millis(300);
/// Requests in ten seconds.
const LIMIT: u32 = 1_667;
/// The rate needs 50 requests under way at this latency.
const CONCURRENCY: usize = 64;
const ROUND_TRIPS: u32 = 6;
const RATIO: f64 = 1.3;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS);
    let server = Server::start(&Intercom { latency: LATENCY, rate_limit: Some(LIMIT), ..Intercom::of(contacts) })?;
    let job = Job::new(bench.folder.path().join("latency"), false)?
        .with("COHORTS__INTERCOM__RATE_SHARE", "1.0")
        .with("COHORTS__INTERCOM__MAX_CONCURRENCY", CONCURRENCY);
    let ran = job.run(&server)?;
    let seen = bench.seen(&server)?;
    job.clear()?;
    let at_limit = seen.requests as f64 / (f64::from(LIMIT) / 10.0);
    let bound = at_limit + (LATENCY * ROUND_TRIPS).as_secs_f64();
    let name = format!(
        "latency-bound, {} ms, {LIMIT} in 10 s, rate_share 1.0, max_concurrency {CONCURRENCY}, {} contacts",
        LATENCY.as_millis(),
        whole(contacts as f64)
    );
    Ok(vec![
        Figure::reported(&name, "start to published snapshot", seconds(ran.published)).at_most(
            RATIO,
            format!("{} requests / rate + {ROUND_TRIPS} round trips = {}", whole(seen.requests as f64), seconds(bound)),
            ran.published / bound,
        ),
        Figure::reported(
            &name,
            "until the last list was done; the most requests under way; answers with 429",
            format!("{}; {}; {}", seconds(ran.fetched), seen.max_in_flight, seen.rate_limited),
        ),
    ])
}
