//! A log of the reads. It counts the pages that were requested again. For a benchmark that repeats the reads, it also records each read.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Method, Uri};
use serde_json::{Value, json};

use super::call::Call;
use super::version::Version;

/// The largest number of requests that are recorded. A run over a million contacts needs a tenth of it.
const MAX_RECORDED: usize = 200_000;

/// All parts of a read that its response depends on. Equal reads get the same response until the workspace changes; reads of a scroll are
/// an exception. The token does not matter.
///
/// Its texts are copies: slices of the receive buffer would keep the whole buffer in memory.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ReadRequest {
    /// The base of the links on numbered pages.
    base: String,
    version: Version,
    method: Method,
    /// The path with its query, as it was sent.
    target: String,
    body: Vec<u8>,
}

impl ReadRequest {
    pub(crate) fn new(call: &Call, uri: &Uri) -> Self {
        Self {
            base: call.base.clone(),
            version: call.version,
            method: call.method.clone(),
            target: uri.path_and_query().map_or_else(|| call.path.clone(), ToString::to_string),
            body: call.body.to_vec(),
        }
    }

    /// The approximate size of the request in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.base.len() + self.target.len() + self.body.len()
    }

    fn to_json(&self) -> Value {
        let body = (!self.body.is_empty()).then(|| String::from_utf8_lossy(&self.body));
        json!({"method": self.method.as_str(), "path": self.target, "version": self.version.to_string(), "body": body})
    }
}

/// The reads that were answered with 200.
pub(crate) struct RequestLog {
    hasher: RandomState,
    /// A 64-bit hash of each page. With millions of pages, the chance that two have the same hash is one in a million.
    pages: Mutex<HashSet<u64>>,
    pages_repeated: AtomicU64,
    /// The requests, in the order in which they were answered. `None` if requests are not recorded.
    requests: Option<Mutex<Vec<Arc<ReadRequest>>>>,
}

impl RequestLog {
    /// An empty log. `keeps` says whether the requests are recorded.
    pub(crate) fn new(keeps: bool) -> Self {
        let requests = keeps.then(Mutex::default);
        Self { hasher: RandomState::new(), pages: Mutex::default(), pages_repeated: AtomicU64::new(0), requests }
    }

    /// Records a read that is answered with 200.
    pub(crate) fn record(&self, request: Arc<ReadRequest>, is_page: bool) {
        if is_page {
            let hash = self.hasher.hash_one(&request);
            if !self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(hash) {
                self.pages_repeated.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(requests) = &self.requests {
            let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            if requests.len() < MAX_RECORDED {
                requests.push(request);
            }
        }
    }

    pub(crate) fn pages_repeated(&self) -> u64 {
        self.pages_repeated.load(Ordering::Relaxed)
    }

    /// The recorded requests, in the order in which they were answered. `None` if requests are not recorded. `reset` empties the log
    /// afterwards.
    pub(crate) fn to_json(&self, reset: bool) -> Option<Value> {
        let mut requests = self.requests.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = if reset { std::mem::take(&mut *requests) } else { requests.clone() };
        // The lock is released before the conversion, so that other requests need not wait.
        drop(requests);
        Some(recorded.iter().map(|request| request.to_json()).collect())
    }
}
