//! The writes that came in, so that tests can prove what was sent.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// One request that wanted to change the workspace, whatever became of it.
#[derive(Clone)]
pub(crate) struct WriteSeen {
    pub method: String,
    pub path: String,
    /// How many users and companies its body names.
    pub members: usize,
    pub bytes: usize,
    pub status: u16,
}

impl WriteSeen {
    pub(crate) fn body(&self) -> Value {
        let WriteSeen { method, path, members, bytes, status } = self;
        json!({"method": method, "path": path, "members": members, "bytes": bytes, "status": status})
    }
}

/// All of them, in the order of their answers.
#[derive(Default)]
pub(crate) struct Writes(Mutex<Vec<WriteSeen>>);

impl Writes {
    pub(crate) fn note(&self, seen: WriteSeen) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }

    pub(crate) fn all(&self) -> Vec<WriteSeen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
