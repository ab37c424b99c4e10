//! The lock of a job in a bucket: an object that names the process which works on the job. The process renews the object while it works.
//!
//! Clocks of two machines may differ, so a lease is taken over only after it was seen unchanged for its whole duration. What was
//! published is safe even if two processes believe that they have the lease: a manifest is replaced only if it is still the one that was
//! there when the lease was taken.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::objects::{If, Objects, Put, Version};
use crate::store::machine::Process;
use crate::store::{BucketError, Holder};

pub(super) const PATH: &str = ".lock";

/// How long a lease lasts that is not renewed, and how often it is renewed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub lasts: Duration,
    pub renewed_every: Duration,
}

impl Term {
    pub(super) const USUAL: Term = Term { lasts: Duration::from_secs(60), renewed_every: Duration::from_secs(15) };
}

/// The content of the lock object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Null if nobody works on the job.
    run: Option<Run>,
    /// Makes each write different from the one before it.
    renewals: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    run_id: String,
    host: String,
    process: Process,
    command: String,
    since: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Run {
    fn holder(&self) -> Holder {
        let process = format!("process {} (`cohorts {}`) on `{}`", self.process.id, self.command, self.host);
        Holder { process, since: Some(self.since) }
    }
}

/// Kept while a process works on the job. Gives the lease back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    shared: Arc<Shared>,
    renewer: Option<JoinHandle<()>>,
    /// The host of a run that did not end. The unfinished work of that run is on that host.
    pub unfinished_on: Option<String>,
}

#[derive(Debug)]
struct Shared {
    objects: Objects,
    term: Term,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    record: Record,
    version: Version,
    renewed: Instant,
    /// If the lease was lost: who has it now.
    lost: Option<String>,
    is_over: bool,
}

/// The result of taking a lease.
#[derive(Debug)]
pub(super) enum Taken {
    Lease(Lease),
    Held(Holder),
    /// The store accepts writes whose condition does not hold.
    Unconditional,
}

/// Takes the lease of a job.
pub(super) fn take(objects: &Objects, command: &str, term: Term) -> io::Result<Taken> {
    let mut seen: Option<(Version, Instant)> = None;
    loop {
        let (condition, before) = match objects.get(PATH)? {
            None => (If::Absent, None),
            Some((bytes, version)) => {
                let before = serde_json::from_slice::<Record>(&bytes).ok();
                match before.as_ref().map(|record| record.run.as_ref()) {
                    // Nobody has the lease, or a process of this machine has it that has ended.
                    Some(None) => {}
                    Some(Some(run)) if run.process.has_ended() => {}
                    // Another process has the lease, or this program cannot read the object.
                    run => match seen.take_if(|(version_seen, _)| *version_seen == version) {
                        Some((_, since)) if since.elapsed() >= term.lasts => {}
                        Some(since) => {
                            std::thread::sleep(term.lasts / 20);
                            seen = Some(since);
                            continue;
                        }
                        None => {
                            if let Some(run) = run.flatten().filter(|run| run.expires_at > now()) {
                                return Ok(Taken::Held(run.holder()));
                            }
                            let what = if run.is_some() { "the lock of another process has expired" } else { "the lock cannot be read" };
                            tracing::info!("{what}: waiting for {:?} whether it changes, then taking it over", term.lasts);
                            seen = Some((version, Instant::now()));
                            continue;
                        }
                    },
                }
                (If::Is(version), before)
            }
        };
        let renewals = before.as_ref().map_or(0, |record| record.renewals) + 1;
        let unfinished_on = before.and_then(|record| record.run).map(|run| run.host);
        let record = Record { run: Some(this_run(command, term)), renewals };
        // On a conflict, another process has taken the lease: the loop starts again.
        if let Put::Done(version) = objects.put_if(PATH, &bytes_of(&record)?, condition)? {
            let lease = Lease::start(objects.clone(), term, record, version, unfinished_on);
            return Ok(if lease.is_conditional()? { Taken::Lease(lease) } else { Taken::Unconditional });
        }
    }
}

/// The process that has the lease of a job; `None` if none has it or the lease has expired.
pub(super) fn holder(objects: &Objects) -> io::Result<Option<Holder>> {
    let Some((bytes, _)) = objects.get(PATH)? else { return Ok(None) };
    let run = serde_json::from_slice::<Record>(&bytes).ok().and_then(|record| record.run);
    Ok(run.filter(|run| run.expires_at > now() && !run.process.has_ended()).map(|run| run.holder()))
}

/// Whether the store honours conditions on writes. Tries two writes that must be refused: one that creates an object that exists, and one
/// that replaces a version that is no longer the current one.
pub(super) fn is_conditional(objects: &Objects, path: &str, stale: &Version) -> io::Result<bool> {
    for condition in [If::Absent, If::Is(stale.clone())] {
        if matches!(objects.put_once(path, b"{\"run\": null, \"renewals\": 0}".to_vec(), condition)?, Put::Done(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn this_run(command: &str, term: Term) -> Run {
    let process = Process::this();
    let now = now().trunc_subsecs(3);
    let run_id = format!("{}-{}-{}", now.format("%Y%m%dT%H%M%S%3f"), process.id, process.started);
    Run {
        run_id,
        host: crate::store::machine::host_name(),
        process,
        command: command.to_string(),
        since: now.trunc_subsecs(0),
        expires_at: now + term.lasts,
    }
}

/// The wall clock. Only the expiry of a lease depends on it.
fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn bytes_of(record: &Record) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record)?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl Lease {
    fn start(objects: Objects, term: Term, record: Record, version: Version, unfinished_on: Option<String>) -> Lease {
        let state = State { record, version, renewed: Instant::now(), lost: None, is_over: false };
        let shared = Arc::new(Shared { objects, term, state: Mutex::new(state), ended: Condvar::new() });
        let renewing = shared.clone();
        let renewer = std::thread::Builder::new().name("lease".to_string()).spawn(move || renewing.renew_until_over());
        Lease { shared, renewer: renewer.ok(), unfinished_on }
    }

    /// Whether the store honours conditions on writes. Renews the lease first, so that its previous version can be used for a write that
    /// must be refused.
    fn is_conditional(&self) -> io::Result<bool> {
        let mut state = self.shared.state();
        let stale = state.version.clone();
        self.shared.renew(&mut state)?;
        if state.lost.is_some() {
            return Ok(true);
        }
        is_conditional(&self.shared.objects, PATH, &stale)
    }

    /// Checks, before a write, that this process still has the lease. Renews the lease if more than half of its duration has passed since
    /// the last renewal.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.lost.is_none() && state.renewed.elapsed() > self.shared.term.lasts / 2 {
            self.shared.renew(&mut state)?;
        }
        match &state.lost {
            None => Ok(()),
            Some(holder) => Err(lost(holder)),
        }
    }
}

/// The error of a process that lost the lease.
pub(super) fn lost(holder: &str) -> io::Error {
    io::Error::other(BucketError::LostLock(holder.to_string()))
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew_until_over(&self) {
        let mut state = self.state();
        while !state.is_over && state.lost.is_none() {
            let (back, waited) = self.ended.wait_timeout(state, self.term.renewed_every).unwrap_or_else(PoisonError::into_inner);
            state = back;
            if waited.timed_out() && !state.is_over {
                // The store may not answer for a moment. The next renewal is early enough, so this is no error.
                if let Err(error) = self.renew(&mut state) {
                    tracing::debug!("the lease was not renewed: {error}");
                }
            }
        }
    }

    /// Renews the lease, or finds out who has it.
    fn renew(&self, state: &mut State) -> io::Result<()> {
        let mut record = state.record.clone();
        record.renewals += 1;
        if let Some(run) = &mut record.run {
            run.expires_at = now().trunc_subsecs(3) + self.term.lasts;
        }
        match self.objects.put_if(PATH, &bytes_of(&record)?, If::Is(state.version.clone()))? {
            Put::Done(version) => (state.record, state.version, state.renewed) = (record, version, Instant::now()),
            Put::Conflict => {
                let holder = holder(&self.objects)?;
                state.lost = Some(holder.map_or("another process had it in the meantime".to_string(), |holder| holder.to_string()));
            }
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.ended.notify_all();
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
        let state = self.shared.state();
        if state.lost.is_none() {
            let free = Record { run: None, renewals: state.record.renewals + 1 };
            // A lease that is not given back expires.
            if let Ok(bytes) = bytes_of(&free) {
                let _ = self.shared.objects.put_if(PATH, &bytes, If::Is(state.version.clone()));
            }
        }
    }
}
