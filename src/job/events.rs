//! Events of a running job, for progress lines, logs and tests.

use std::sync::Arc;
use std::time::Duration;

use domain::{Basis, Month, Months};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The months are known.
    Planning {
        months: Months,
    },
    /// The plan is made.
    Planned {
        months: Months,
        streams: usize,
    },
    /// The expected cost, before the first stream is fetched.
    Expected {
        requests: u64,
        time: Duration,
    },
    /// A stream that an earlier run finished is reused.
    Kept {
        stream: String,
        rows: u64,
    },
    /// A stream continues where an earlier run stopped. It has this number of rows already.
    Resumed {
        stream: String,
        rows: u64,
    },
    /// A long stream is fetched in this number of partitions.
    Partitioned {
        partitions: usize,
    },
    /// A stream is fetched again with one cursor.
    Unpartitioned,
    StreamStarted {
        stream: String,
    },
    /// A page came. `rows` is the number of distinct rows of the stream so far, `total` the announced total.
    Page {
        stream: String,
        rows: u64,
        total: Option<u64>,
    },
    /// A stream is read again.
    StreamAgain {
        stream: String,
        why: String,
    },
    StreamDone {
        stream: String,
        rows: u64,
    },
    Publishing {
        month: Month,
    },
    /// The month's snapshot is visible.
    Published {
        month: Month,
        basis: Basis,
    },
    /// The tag of a rule is being brought up to date in Intercom.
    Applying {
        rule: String,
    },
    /// The number of contacts that got the tag, lost it, or could not be changed.
    Applied {
        rule: String,
        gained: u64,
        lost: u64,
        failed: u64,
    },
    /// History or reports of a month are being built.
    Building {
        month: Month,
        what: Built,
    },
    Built {
        month: Month,
        what: Built,
    },
    /// An engine outside of this process has run a query of a month, the `done`-th of `all`.
    Counted {
        month: Month,
        query: String,
        time: Duration,
        done: usize,
        all: usize,
    },
    /// History or reports of a month are damaged and are rebuilt.
    Damaged {
        month: Month,
        what: Built,
        problem: String,
    },
}

/// What is built from a month's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    History,
    Reports,
}

pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;
