//! A limit that is far below what the job could do: how much of it is used, and how often it is exceeded.

use super::job::Job;
use super::server::{Intercom, Server, Window};
use super::table::{Figure, seconds, whole};
use super::{Bench, Failure};

/// Nine windows or so: 10,000 contacts would not fill two.
const CONTACTS: usize = 50_000;
const LIMIT: u32 = 167;
/// Seconds of a window.
const WINDOW: u64 = 10;
const USED: f64 = 0.95;
const REFUSED: f64 = 0.01;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS);
    let server = Server::start(&Intercom { rate_limit: Some(LIMIT), ..Intercom::of(contacts) })?;
    let job = Job::new(bench.folder.path().join("limit"), false)?.with("COHORTS__INTERCOM__RATE_SHARE", "1.0");
    let ran = job.run(&server)?;
    let seen = bench.seen(&server)?;
    job.clear()?;

    let (used, windows) = in_full_windows(&seen.windows).ok_or("the run ended before a window was full: it needs more contacts")?;
    let allowed = windows * u64::from(LIMIT);
    let share = used as f64 / allowed as f64;
    let refused = seen.rate_limited as f64 / seen.requests as f64;
    let name = format!("limit-bound, {LIMIT} in 10 s, rate_share 1.0, {} contacts", whole(contacts as f64));
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    Ok(vec![
        Figure {
            bound: format!("{allowed} allowed in {windows} full windows"),
            ratio: Some(share),
            ..Figure::reported(&name, "requests used in full windows", format!("{used}, {}", percent(share)))
                .wanted("at least 95 %", share >= USED)
        },
        Figure::reported(&name, "answered with 429", format!("{} of {}, {}", seen.rate_limited, seen.requests, percent(refused)))
            .wanted("at most 1 %", refused <= REFUSED),
        Figure::reported(&name, "start to published snapshot", seconds(ran.published)),
    ])
}

/// Requests that were answered between the first and the last window, in which the job begins and ends, and how many
/// windows that is. One without a request is not listed, and counts.
fn in_full_windows(windows: &[Window]) -> Option<(u64, u64)> {
    let [first, full @ .., last] = windows else { return None };
    let between = (last.start.checked_sub(first.start)? / WINDOW).checked_sub(1).filter(|between| *between > 0)?;
    Some((full.iter().map(|window| window.requests - window.rate_limited).sum(), between))
}
