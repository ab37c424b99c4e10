//! The built `cohorts` over real HTTP, held against the contract: commands, files, columns, definitions, exit codes.
//!
//! The other end is `cohorts simulate`, whose `/_simulator/` probes give the expected values, or a scripted server for what no
//! simulator of a well-behaved API does. Nothing here reaches into the program; what is expected is worked out again,
//! from the probes and from the contract's definitions, in `support::oracle`.

// A test that cannot go on says so by a panic; `clippy.toml` allows that in test functions, not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod architecture;
mod backfill;
mod bad_input;
mod calibration;
mod census;
mod certificates;
mod check;
mod cli;
mod clock;
mod copy;
mod crash;
mod damage;
mod decoders;
mod definitions;
mod demo;
mod documents;
mod engine;
mod failure;
mod faults;
mod forget;
mod formats;
mod idempotence;
mod init;
mod legacy;
mod members;
mod memory;
mod month_end;
mod names;
mod notify;
mod numbers;
mod page;
mod partitions;
mod planted;
mod privacy;
mod property;
mod proxy;
mod restore;
mod resume;
mod rules;
mod run_log;
mod signals;
mod stale;
mod stores;
mod subscriptions;
mod swaps;
mod tagging;
mod timezone;
mod vanished;
mod witnesses;
