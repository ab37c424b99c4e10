//! Checks of the engine outside of this process, if the job has one.

use super::Finding;
use crate::settings::Settings;
use crate::{JobError, remote_engine};
use archive::Archive;

/// Whether the engine answers, and writes where this program reads. `None` if the job has none.
pub(super) async fn engine(settings: &Settings, archive: &Archive) -> Option<Finding> {
    let engine = match remote_engine(settings) {
        Ok(engine) => engine?,
        Err(error) => return Some(Finding::error("engine", error)),
    };
    let folder = archive.engine_check_folder();
    let checking = tokio::task::spawn_blocking(move || engine.check(&folder).map_err(JobError::EngineCheck));
    Some(match crate::error::joined(checking.await) {
        Ok(said) => Finding::fine("engine", format!("{said}; it reads what this program writes, and the other way round")),
        Err(error) => Finding::error("engine", error),
    })
}
