//! A log of the writes, so that tests can check what was sent.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// One write request, successful or not.
#[derive(Clone)]
pub(crate) struct LoggedWrite {
    pub method: String,
    pub path: String,
    /// The number of users and companies in the body.
    pub members: usize,
    pub bytes: usize,
    pub status: u16,
}

impl LoggedWrite {
    pub(crate) fn body(&self) -> Value {
        let LoggedWrite { method, path, members, bytes, status } = self;
        json!({"method": method, "path": path, "members": members, "bytes": bytes, "status": status})
    }
}

/// All writes, in the order of their responses.
#[derive(Default)]
pub(crate) struct Writes(Mutex<Vec<LoggedWrite>>);

impl Writes {
    pub(crate) fn record(&self, write: LoggedWrite) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    pub(crate) fn all(&self) -> Vec<LoggedWrite> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
