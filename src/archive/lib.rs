//! How months are stored: tables as Parquet and CSV, snapshots, folders that are published in one step and verified before they
//! are used, and the job's folder with all of them, the [`Archive`].

pub mod disk;
mod folder;
pub mod publish;
pub mod snapshot;
pub mod table;

pub use folder::{AcceptedLoss, Archive, ArchiveError, Holder, Lock, Section};
