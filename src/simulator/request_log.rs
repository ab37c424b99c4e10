//! The reads that were answered: how many pages were asked for twice and, for a bench that asks for the same again, all of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Method, Uri};
use serde_json::{Value, json};

use super::call::Call;
use super::version::Version;

/// The record holds the first of them, not more. A month of a million contacts takes a tenth.
const KEPT: usize = 200_000;

/// A read, as far as its answer depends on it. Two that are equal get the same answer, while nothing changes and no scroll is read: no read
/// depends on who asks.
///
/// Its texts are copies: parts of the buffer that they were received in would keep the whole buffer.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// In the links of numbered pages.
    base: String,
    version: Version,
    method: Method,
    /// The path with its query, as it was sent.
    target: String,
    body: Vec<u8>,
}

impl Question {
    pub(crate) fn new(call: &Call, uri: &Uri) -> Self {
        Self {
            base: call.base.clone(),
            version: call.version,
            method: call.method.clone(),
            target: uri.path_and_query().map_or_else(|| call.path.clone(), ToString::to_string),
            body: call.body.to_vec(),
        }
    }

    /// How much memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.base.len() + self.target.len() + self.body.len()
    }

    fn told(&self) -> Value {
        let body = (!self.body.is_empty()).then(|| String::from_utf8_lossy(&self.body));
        json!({"method": self.method.as_str(), "path": self.target, "version": self.version.to_string(), "body": body})
    }
}

/// What was answered with 200.
pub(crate) struct RequestLog {
    hasher: RandomState,
    /// A number for each page; that two pages share one is left to chance, which makes it one in a million for millions of pages.
    pages: Mutex<HashSet<u64>>,
    pages_repeated: AtomicU64,
    /// In the order of the answers, when they are kept.
    record: Option<Mutex<Vec<Arc<Question>>>>,
}

impl RequestLog {
    /// Nothing was read yet. `keeps` tells whether there is a record.
    pub(crate) fn new(keeps: bool) -> Self {
        let record = keeps.then(Mutex::default);
        Self { hasher: RandomState::new(), pages: Mutex::default(), pages_repeated: AtomicU64::new(0), record }
    }

    /// Notes a read that is answered with 200.
    pub(crate) fn note(&self, question: Arc<Question>, is_page: bool) {
        if is_page {
            let mark = self.hasher.hash_one(&question);
            if !self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(mark) {
                self.pages_repeated.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(record) = &self.record {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            if record.len() < KEPT {
                record.push(question);
            }
        }
    }

    pub(crate) fn pages_repeated(&self) -> u64 {
        self.pages_repeated.load(Ordering::Relaxed)
    }

    /// What was read, in the order of the answers; nothing when there is no record. A reset begins it anew after that.
    pub(crate) fn told(&self, reset: bool) -> Option<Value> {
        let mut record = self.record.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let questions = if reset { std::mem::take(&mut *record) } else { record.clone() };
        // Answers go on being noted while these are written out.
        drop(record);
        Some(questions.iter().map(|question| question.told()).collect())
    }
}
