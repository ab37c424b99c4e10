//! Checks whether the output can be written, and whether there is disk space for a month.

use std::path::Path;

use super::{Finding, Trouble};
use crate::JobError;
use archive::store::{StoreError, Tried};
use archive::{Archive, ArchiveError};
use domain::Month;

/// The number of bytes on disk for each row of a stream, until its month is published: in the work folder, the snapshot, the
/// history and the reports. It was measured with the embedded Intercom. Snapshot, history and reports took 312 to 375 bytes a row
/// (20,000 contacts in 7 groups, and demos of 5,000 and 40,000). The work folder is not compressed. It took 340 bytes a row if
/// contacts are in several streams (200,000 in 12 groups and everyone), and 1,300 if each contact is in one stream. The sum is
/// about doubled, because real contacts have longer texts and more attributes.
const BYTES_PER_ROW: f64 = 3072.0;
/// The disk space that a run needs until its month is published, as a multiple of the published month, if each contact is in one stream.
const WORK: f64 = 5.0;
/// The minimum number of bytes of a month, because files with few rows take space too.
const BYTES_AT_LEAST: f64 = 1_048_576.0;
/// The number of files and folders of a small month, with its work folder.
const FILES_AT_LEAST: u64 = 100;

/// `tried` has the result of [`Archive::try_out`]. `rows` is the number of rows that a run would fetch; `None` if unknown.
pub(super) fn check(tried: Result<(Archive, Tried), JobError>, rows: Option<u64>, findings: &mut Vec<Finding>) {
    let (archive, tried) = match tried {
        Ok(tried) => tried,
        Err(error) => {
            let is_other_file_system = matches!(error, JobError::Archive(ArchiveError::Store(StoreError::OtherFileSystem { .. })));
            findings.push(Finding::error(if is_other_file_system { "file system" } else { "output" }, error));
            return;
        }
    };
    let place = archive.place();
    match tried {
        Tried::Writable => findings.push(Finding::fine("output", format!("`{place}` can be written"))),
        Tried::Bucket => {
            let what = format!("`{place}` can be written, listed and read, and honours conditional writes");
            findings.push(Finding::fine("output", what));
        }
        Tried::CanBeMade(existing) => {
            let what = format!("`{place}` is not there yet, and can be made in `{}`", existing.display());
            findings.push(Finding::fine("output", what));
            findings.extend(space(&archive, rows));
            return;
        }
    }
    findings.extend(space(&archive, rows));
    match archive.holder() {
        Ok(None) => {}
        Ok(Some(holder)) => findings.push(Finding::noted("lock", format!("{holder}; a run would end with code 7"))),
        Err(error) => findings.push(Finding::error("lock", JobError::from(error))),
    }
}

/// The space in the folder of unfinished work, or in the nearest folder above it that exists. A month that is published in a folder is
/// on the same disk, unless `output.work_dir` names another one.
fn space(archive: &Archive, rows: Option<u64>) -> Option<Finding> {
    let (free, files) = archive.work_folder().ancestors().chain([Path::new(".")]).find_map(free_bytes)?;
    if files.is_some_and(|files| files < FILES_AT_LEAST) {
        let free = format!("{} and {} files", shown(free), files.unwrap_or_default());
        return Some(Finding::error("disk space", Trouble::DiskSpace { free, need: format!("{FILES_AT_LEAST} files") }));
    }
    let Some(rows) = rows else {
        return Some(Finding::noted("disk space", format!("{} are free; what a month needs is not known", shown(free))));
    };
    let (per_row, source) = match last_month(archive) {
        Some((month, per_row)) => (per_row * WORK, format!("as {month} took")),
        None => (BYTES_PER_ROW, "as estimated, until there is a month to go by".to_string()),
    };
    let need = (rows as f64 * per_row).max(BYTES_AT_LEAST);
    let (free_text, need_text) = (shown(free), shown(need));
    Some(if free < need {
        Finding::error("disk space", Trouble::DiskSpace { free: free_text, need: need_text })
    } else if free < 2.0 * need {
        let what = format!("{free_text} are free, and a month of {rows} rows needs about {need_text} ({source})");
        Finding::warning("disk space", what, Some("there is hardly room for a second month"))
    } else {
        Finding::fine("disk space", format!("{free_text} are free; a month of {rows} rows needs about {need_text} ({source})"))
    })
}

/// The newest month that can be read, and the number of bytes that a row of its streams took in snapshot, history and reports.
fn last_month(archive: &Archive) -> Option<(Month, f64)> {
    let month = archive.months().ok()?.pop()?;
    let manifest = archive.snapshot(month).ok()??.manifest;
    let of_table = |name: &str| manifest.files.iter().filter(|file| file.path.starts_with(name)).map(|file| file.rows).sum::<u64>();
    let members: u64 = manifest.cohorts.iter().map(|cohort| cohort.members).sum();
    let rows = of_table("contacts/") + of_table("conversations/") + members;
    (rows > 0).then(|| (month, archive.bytes_of(month) as f64 / rows as f64))
}

/// How much this user may still write in the folder: the number of bytes, and the number of files if the volume counts files.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<(f64, Option<u64>)> {
    let volume = rustix::fs::statvfs(folder).ok()?;
    Some((volume.f_bavail as f64 * volume.f_frsize as f64, (volume.f_files > 0).then_some(volume.f_favail)))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<(f64, Option<u64>)> {
    None
}

fn shown(bytes: f64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        assert_eq!(shown(1536.0), "1.5 KiB");
        assert_eq!(shown(1_048_576.0), "1.0 MiB");
        assert_eq!(shown(76.0 * 1024.0 * 1024.0 * 1024.0), "76.0 GiB");
        assert_eq!(shown(5000.0 * 1024f64.powi(4)), "5000.0 TiB");
    }
}
