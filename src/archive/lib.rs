//! What is kept of each month, and how it is written and read: tables as Parquet and CSV, snapshots, and folders that appear
//! whole or not at all and are verified before they are used.

pub mod disk;
pub mod publish;
pub mod snapshot;
pub mod table;
