//! What a stream says of itself: while it goes on, in `progress.json`; when it is whole, in `stream.json`.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{SnapshotError, publish};
use domain::Oddities;

const WALK_FILE: &str = "walk.json";
const PROGRESS_FILE: &str = "progress.json";

/// What a finished stream says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Distinct rows.
    pub rows: u64,
    /// Rows that came more than once: the list shifted while it was read.
    pub repeated: u64,
    /// Those of them that had been changed since they came before.
    pub renewed: u64,
    pub chunks: usize,
    pub pages: u64,
    /// The total that the API gave with the first page and with the last.
    pub first_total: Option<u64>,
    pub last_total: Option<u64>,
    pub started_at: DateTime<Utc>,
    /// When the last page came.
    pub observed_at: DateTime<Utc>,
    /// Rows that `cohorts forget` took out.
    #[serde(default)]
    pub forgotten: u64,
    /// Rows whose record another list has already; of them only who they are is kept.
    #[serde(default)]
    pub held: u64,
    /// The groups that were looked for in the contacts' own lists while this was read, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_lists_of: Vec<String>,
    /// Where the members were taken from the contacts' own lists against what a search gave: how many it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<u64>,
    /// Rows that were not asked for and were left out (conversations of other months).
    pub outside: u64,
    /// The workspace that the contacts name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// By the names of `Oddities::counts`; what never occurred is left out.
    pub oddities: BTreeMap<String, u64>,
    /// Whether what came agrees with the announced totals. Only such a stream is taken over by a later run.
    pub is_complete: bool,
}

/// How far a stream has come, and where it goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub record: StreamRecord,
    /// The place in the list, as whoever follows it wrote it down.
    pub place: String,
}

impl StreamRecord {
    pub fn begun(at: DateTime<Utc>) -> StreamRecord {
        StreamRecord {
            rows: 0,
            repeated: 0,
            renewed: 0,
            chunks: 0,
            pages: 0,
            first_total: None,
            last_total: None,
            started_at: at,
            observed_at: at,
            forgotten: 0,
            held: 0,
            own_lists_of: Vec::new(),
            searched: None,
            outside: 0,
            workspace_id: None,
            oddities: BTreeMap::new(),
            is_complete: false,
        }
    }

    /// Distinct rows that came, whatever became of them.
    pub fn came(&self) -> u64 {
        self.rows + self.outside + self.forgotten
    }

    /// Of a list that was followed in partitions; with the totals that the whole of it announced before and after.
    pub fn of_partitions(records: &[StreamRecord], first_total: u64, last_total: Option<u64>) -> StreamRecord {
        let sum = |count: fn(&StreamRecord) -> u64| records.iter().map(count).sum::<u64>();
        let (rows, forgotten) = (sum(|record| record.rows), sum(|record| record.forgotten));
        let last_total = last_total.unwrap_or(first_total);
        // A row at the edge of two partitions came with both, and is outside of one: only those are outside of the list that
        // its total counts.
        let most = sum(|record| record.outside);
        let outside = last_total.saturating_sub(rows + forgotten).min(most);
        let mut oddities = BTreeMap::new();
        for (name, count) in records.iter().flat_map(|record| &record.oddities) {
            *oddities.entry(name.clone()).or_default() += count;
        }
        StreamRecord {
            rows,
            repeated: sum(|record| record.repeated),
            renewed: sum(|record| record.renewed),
            chunks: records.iter().map(|record| record.chunks).sum(),
            pages: sum(|record| record.pages),
            first_total: Some(first_total),
            last_total: Some(last_total),
            started_at: records.iter().map(|record| record.started_at).min().unwrap_or_default(),
            observed_at: records.iter().map(|record| record.observed_at).max().unwrap_or_default(),
            forgotten,
            held: sum(|record| record.held),
            own_lists_of: in_all(records),
            searched: None,
            outside,
            workspace_id: records.iter().find_map(|record| record.workspace_id.clone()),
            oddities,
            is_complete: records.iter().all(|record| record.is_complete),
        }
    }

    /// Takes note of a page that came.
    pub fn page(&mut self, at: DateTime<Utc>, total: Option<u64>, outside: u64, oddities: Oddities) {
        self.pages += 1;
        self.observed_at = at;
        self.first_total = self.first_total.or(total);
        self.last_total = total.or(self.last_total);
        self.outside += outside;
        for (name, count) in oddities.counts() {
            if count > 0 {
                *self.oddities.entry(name.to_string()).or_default() += count;
            }
        }
    }
}

/// The groups that were looked for in every partition.
fn in_all(records: &[StreamRecord]) -> Vec<String> {
    let first = records.first().map_or(&[][..], |record| &record.own_lists_of);
    first.iter().filter(|key| records.iter().all(|record| record.own_lists_of.contains(key))).cloned().collect()
}

/// The record of a stream that an earlier run finished.
pub fn load_stream(folder: &Path) -> Option<StreamRecord> {
    // A record that cannot be read is as good as none: the stream is done again.
    serde_json::from_slice(&std::fs::read(folder.join(WALK_FILE)).ok()?).ok()
}

/// How far an earlier run came with a stream that it did not finish.
pub fn load_progress(folder: &Path) -> Option<Progress> {
    serde_json::from_slice(&std::fs::read(folder.join(PROGRESS_FILE)).ok()?).ok()
}

/// Writes the records of a stream into another folder, edited.
pub(super) fn edit_records(
    folder: &Path,
    stream: Option<StreamRecord>,
    progress: Option<Progress>,
    edit: impl Fn(&mut StreamRecord),
) -> Result<(), SnapshotError> {
    if let Some(mut record) = stream {
        edit(&mut record);
        publish::write_json(&folder.join(WALK_FILE), &record)?;
    }
    if let Some(mut progress) = progress {
        edit(&mut progress.record);
        publish::write_json(&folder.join(PROGRESS_FILE), &progress)?;
    }
    Ok(())
}

impl StreamRecord {
    pub(super) fn write_progress(&self, folder: &Path, place: String) -> Result<(), SnapshotError> {
        Ok(publish::write_json(&folder.join(PROGRESS_FILE), &Progress { record: self.clone(), place })?)
    }

    /// Says that the stream is whole.
    pub(super) fn write(&self, folder: &Path) -> Result<(), SnapshotError> {
        publish::write_json(&folder.join(WALK_FILE), self)?;
        Ok(publish::remove_file(&folder.join(PROGRESS_FILE))?)
    }
}
