//! Stores months: tables as Parquet and CSV, snapshots, and folders that are published in one step and verified before they are used. The
//! [`Archive`] contains all files of a job.

pub mod disk;
pub mod engine;
mod months;
pub mod publish;
pub mod snapshot;
pub mod store;
pub mod table;

pub use months::{AcceptedLoss, Archive, ArchiveError, Copied, Section};
