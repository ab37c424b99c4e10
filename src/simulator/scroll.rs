//! Scrolls. The whole workspace can have only one open scroll. By default the scroll expires when no page is requested for a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::api_error::ApiError;
use super::call::Call;
use super::faults::scatter;

/// The number of records per call.
const PER_CALL: usize = 100;

/// What is scrolled over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Users,
    Leads,
    Companies,
}

/// The only scroll that may be open at a time.
pub(crate) struct Scrolls {
    /// How long an open scroll may be idle, by the wall clock.
    expiry: Duration,
    seed: u64,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    opened: u64,
    open: Option<Open>,
}

struct Open {
    kind: Kind,
    param: String,
    /// The entries at the time when the scroll was opened.
    entries: Arc<[u32]>,
    shown: usize,
    used: Instant,
}

impl Scrolls {
    /// No scroll is open yet.
    pub(crate) fn new(expiry: Duration, seed: u64) -> Self {
        Self { expiry, seed, slot: Mutex::default() }
    }

    /// The next records, and the scroll parameter for the next call. A call without a scroll parameter opens a scroll over `entries`.
    ///
    /// The scroll ends with the call that returns no records, or when it expires.
    pub(crate) fn next(&self, kind: Kind, call: &Call, entries: impl FnOnce() -> Arc<[u32]>) -> Result<(Vec<u32>, String), ApiError> {
        let param = call.parameter("scroll_param");
        // The slot is valid after a panic: it is changed by single assignments.
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.open.as_ref().is_some_and(|open| open.used.elapsed() >= self.expiry) {
            slot.open = None;
        }
        match param {
            None if slot.open.is_some() => {
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "scroll_exists", "scroll already exists for this workspace"));
            }
            None => {
                slot.opened += 1;
                let param = uuid(self.seed, slot.opened);
                slot.open = Some(Open { kind, param, entries: entries(), shown: 0, used: Instant::now() });
            }
            Some(_) => {}
        }
        let known = |open: &&mut Open| open.kind == kind && param.is_none_or(|param| param == open.param);
        let Some(open) = slot.open.as_mut().filter(known) else {
            return Err(ApiError::scroll_not_found());
        };
        let mut shown: Vec<u32> = open.entries.iter().skip(open.shown).take(PER_CALL).copied().collect();
        // `shown` does not count the removed entry, so the next call returns it.
        if call.moves && open.shown + shown.len() < open.entries.len() {
            shown.pop();
        }
        open.shown += shown.len();
        open.used = Instant::now();
        let param = open.param.clone();
        if shown.is_empty() {
            slot.open = None;
        }
        Ok((shown, param))
    }

    /// Ends the open scroll, like a failure of the service.
    pub(crate) fn end(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).open = None;
    }
}

/// Text in the form of a version 4 UUID that depends on both numbers.
pub(crate) fn uuid(seed: u64, number: u64) -> String {
    let (high, low) = (scatter(seed, 71, number), scatter(seed, 72, number));
    let (first, second, third) = (high >> 32, (high >> 16) & 0xFFFF, high & 0xFFF);
    let (fourth, fifth) = (0x8000 | (low >> 48) & 0x3FFF, low & 0xFFFF_FFFF_FFFF);
    format!("{first:08x}-{second:04x}-4{third:03x}-{fourth:04x}-{fifth:012x}")
}
