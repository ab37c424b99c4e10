//! The month-end cohort job for Intercom workspaces.
//!
//! The data goes one way: settings → plan → walks → snapshot → history → counts → judgements → reports. See
//! ARCHITECTURE.md for the map; the modules stand here in the order of that way.

pub mod domain;

pub mod disk;
pub mod proxy;
pub mod tls;

pub mod rules;

pub mod settings;

pub mod privacy;

pub mod intercom;

pub mod census;

pub mod publish;
pub mod table;

pub mod snapshot;

pub mod tagging;

pub mod listing;

pub mod history;

pub mod stats;

pub mod analysis;

pub mod digest;
pub mod page;

pub mod report;

pub mod job;

pub mod check;

pub mod notify;

pub mod simulator;

pub mod cli;
