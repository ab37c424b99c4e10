//! The counting of a month as a script, for a cluster without Spark Connect.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Chain, Link, Refreshed, Scope, definitions, refresh, snapshots};
use crate::settings::Settings;
use crate::{JobError, Observer, engine};
use archive::publish;
use archive::{Archive, ArchiveError, Section};
use domain::Month;
use reports::analysis;
use reports::history;
use reports::steps;

/// Writes the counting of a month as a script for `spark-sql`. Brings the earlier months up to date. The caller must have the job's lock.
/// A later [`refresh`] reads what the script wrote.
///
/// # Errors
/// If the month has no usable snapshot, or an earlier month fails.
pub fn engine_script(archive: &Archive, settings: &Settings, month: Month, file: &Path, observer: &Observer) -> Result<(), JobError> {
    let definitions = definitions(&settings.job);
    let failed = |source: history::HistoryError| JobError::History { month, source };
    let missing = || ArchiveError::NoSnapshot { month, location: archive.location(Section::Snapshots) };
    refresh(archive, settings, &Scope::StaleUntil(month.previous()), &BTreeSet::new(), observer)?;
    let mut chain = Chain {
        archive,
        definitions: &definitions,
        observer,
        engine: None,
        links: Vec::new(),
        last_counted: None,
        done: Refreshed::default(),
    };
    for (earlier, snapshot) in archive.snapshots()?.take_while(|(earlier, _)| *earlier < month) {
        let snapshot = snapshot.ok();
        if let Some(history) = chain.current_history(earlier, snapshot.as_ref())? {
            chain.links.push(Link { month: earlier, snapshot, history, is_verified: false });
        }
    }
    let snapshot = archive.snapshot(month)?.ok_or_else(missing)?;
    let (previous, earlier) = (chain.links.last().map(|link| &link.history), snapshots(&chain.links));
    let counting = steps::Month { snapshot: &snapshot, definitions: &definitions, previous, counted_before: None, earlier: &earlier };
    let folder = archive.engine_folder(month);
    let script = counting.script(&folder, &analysis::queries(), &engine::place(settings)?).map_err(failed)?;
    if let Err(error) = publish::write_file(file, script.as_bytes()) {
        folder.clear().map_err(|error| failed(error.into()))?;
        return Err(JobError::Script(error));
    }
    counting.keep_for_script(&folder).map_err(failed)
}
