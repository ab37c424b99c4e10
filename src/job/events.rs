//! What happens while a job works, for whoever watches: progress lines, logs, tests.

use std::sync::Arc;
use std::time::Duration;

use domain::{Basis, Month, Months};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is known which months it is about.
    Planning {
        months: Months,
    },
    /// The plan stands: so many streams.
    Planned {
        months: Months,
        streams: usize,
    },
    /// What it will take, before it begins.
    Expected {
        requests: u64,
        time: Duration,
    },
    /// A stream that an earlier run finished is taken over.
    Kept {
        stream: String,
        rows: u64,
    },
    /// A stream goes on where an earlier run stopped, with so many rows.
    Resumed {
        stream: String,
        rows: u64,
    },
    /// A list is long, and is followed in so many partitions.
    Partitioned {
        partitions: usize,
    },
    /// A list in partitions is followed once more, in one chain.
    Unpartitioned,
    StreamStarted {
        stream: String,
    },
    /// A page came: distinct rows of the stream so far, of the announced total.
    Page {
        stream: String,
        rows: u64,
        total: Option<u64>,
    },
    /// A stream is done again, and why.
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
    /// The month's snapshot is there to be seen.
    Published {
        month: Month,
        basis: Basis,
    },
    /// The tag of a rule is being brought up to date in Intercom.
    Applying {
        rule: String,
    },
    /// So many got it, lost it, or could not be brought up to date.
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
    /// History or reports of a month are not what was built, and are built anew.
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
