//! The record of a stream on disk: `progress.json` while the stream is being fetched, `walk.json` when it is finished.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{SnapshotError, publish};
use domain::Oddities;

/// The file with the record of a finished stream. Earlier versions of the program use the same file name, so their unfinished work can be
/// read.
const STREAM_FILE: &str = "walk.json";
const PROGRESS_FILE: &str = "progress.json";

/// What is known about a stream: counts, totals and times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamRecord {
    /// The number of distinct rows.
    pub rows: u64,
    /// The number of rows that came again, because the stream shifted while it was read.
    pub repeated: u64,
    /// The number of repeated rows that came with a newer record.
    pub renewed: u64,
    pub chunks: usize,
    pub pages: u64,
    /// The total that the API gave with the first page and with the last page.
    pub first_total: Option<u64>,
    pub last_total: Option<u64>,
    pub started_at: DateTime<Utc>,
    /// When the last page came.
    pub observed_at: DateTime<Utc>,
    /// The number of rows that `cohorts forget` removed.
    #[serde(default)]
    pub forgotten: u64,
    /// The keys of the groups whose members were collected from the contacts' own lists while this stream was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_lists_of: Vec<String>,
    /// The number of members that a search gave. Set only if own lists contradicted the search and the members were derived
    /// instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<u64>,
    /// The number of rows that were left out because the request did not ask for them (conversations of other months).
    pub outside: u64,
    /// The workspace ID in the contacts' records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// The counts of `Oddities::counts`, by name. Zeros are left out.
    pub oddities: BTreeMap<String, u64>,
    /// Whether the rows agree with the announced totals. A later run reuses only streams for which this is true.
    pub is_complete: bool,
}

/// The record of an unfinished stream and the cursor from which it continues.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub record: StreamRecord,
    /// The cursor as text. Only the reader of the stream understands it.
    #[serde(rename = "place")]
    pub cursor: String,
}

impl StreamRecord {
    pub fn new(at: DateTime<Utc>) -> StreamRecord {
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
            own_lists_of: Vec::new(),
            searched: None,
            outside: 0,
            workspace_id: None,
            oddities: BTreeMap::new(),
            is_complete: false,
        }
    }

    /// The number of all distinct rows that came, also of rows that were left out or forgotten.
    pub fn received(&self) -> u64 {
        self.rows + self.outside + self.forgotten
    }

    /// The record of a stream in partitions, with the totals that the whole stream announced before and after.
    pub fn of_partitions(records: &[StreamRecord], first_total: u64, last_total: Option<u64>) -> StreamRecord {
        let sum = |count: fn(&StreamRecord) -> u64| records.iter().map(count).sum::<u64>();
        let (rows, forgotten) = (sum(|record| record.rows), sum(|record| record.forgotten));
        let last_total = last_total.unwrap_or(first_total);
        // A row at the boundary of two partitions comes with both partitions and is outside one of them, so the sum of `outside` may be too
        // high. A row is outside the whole stream only if the announced total counts the row and no partition has it.
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
            own_lists_of: in_all(records),
            searched: None,
            outside,
            workspace_id: records.iter().find_map(|record| record.workspace_id.clone()),
            oddities,
            is_complete: records.iter().all(|record| record.is_complete),
        }
    }

    /// Counts a page.
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

/// The groups whose members were collected in every partition.
fn in_all(records: &[StreamRecord]) -> Vec<String> {
    let first = records.first().map_or(&[][..], |record| &record.own_lists_of);
    first.iter().filter(|key| records.iter().all(|record| record.own_lists_of.contains(key))).cloned().collect()
}

/// The record of a finished stream of an earlier run.
pub fn load_stream(folder: &Path) -> Option<StreamRecord> {
    // A record that cannot be read counts as missing: the stream is fetched again.
    serde_json::from_slice(&std::fs::read(folder.join(STREAM_FILE)).ok()?).ok()
}

/// The progress of an unfinished stream of an earlier run.
pub fn load_progress(folder: &Path) -> Option<Progress> {
    serde_json::from_slice(&std::fs::read(folder.join(PROGRESS_FILE)).ok()?).ok()
}

/// Edits the records of a stream and writes them into another folder.
pub(super) fn edit_records(
    folder: &Path,
    stream: Option<StreamRecord>,
    progress: Option<Progress>,
    edit: impl Fn(&mut StreamRecord),
) -> Result<(), SnapshotError> {
    if let Some(mut record) = stream {
        edit(&mut record);
        publish::write_json(&folder.join(STREAM_FILE), &record)?;
    }
    if let Some(mut progress) = progress {
        edit(&mut progress.record);
        publish::write_json(&folder.join(PROGRESS_FILE), &progress)?;
    }
    Ok(())
}

impl StreamRecord {
    pub(super) fn write_progress(&self, folder: &Path, cursor: String) -> Result<(), SnapshotError> {
        Ok(publish::write_json(&folder.join(PROGRESS_FILE), &Progress { record: self.clone(), cursor })?)
    }

    /// Marks the stream as finished.
    pub(super) fn write(&self, folder: &Path) -> Result<(), SnapshotError> {
        publish::write_json(&folder.join(STREAM_FILE), self)?;
        Ok(publish::remove_file(&folder.join(PROGRESS_FILE))?)
    }
}
