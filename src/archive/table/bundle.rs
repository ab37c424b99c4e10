//! Stores several tables in one file. Only this program reads such a file, once and soon after it was written. The tables are uncompressed
//! Arrow streams, with the same layout as in memory, so writing and reading are fast. Each table has a checksum, which detects changes by
//! the disk.
//!
//! ```text
//! for each table: the length of its stream in bytes (u64) and the CRC-32 of the stream (u32), both little-endian
//! for each table: its rows, an Arrow IPC stream
//! ```
//!
//! A file of an earlier version may lack tables that were added to the end of a bundle. These tables are read as tables without rows.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Crc;
use polars::prelude::*;

use super::{Table, TableError};

/// The size in bytes of the header entry of one table.
const HEADER: usize = size_of::<u64>() + size_of::<u32>();

/// The tables in a file, in order.
pub type Bundle = [&'static Table];

/// Writes and syncs these tables.
///
/// # Errors
/// When a frame does not hold its table's columns, or the file cannot be written.
pub fn write_bundle(frames: &[DataFrame], bundle: &Bundle, path: &Path) -> Result<(), TableError> {
    let failed = |error: PolarsError| TableError::writing(path, error);
    if frames.len() != bundle.len() {
        return Err(failed(polars_err!(ComputeError: "{} tables for a bundle of {}", frames.len(), bundle.len())));
    }
    let mut file = BufWriter::new(File::create(path).map_err(|error| failed(error.into()))?);
    // The header stays zero until the lengths and checksums are known. Zeros match no table, so a half-written file is not read.
    let mut header = vec![0; HEADER * bundle.len()];
    file.write_all(&header).map_err(|error| failed(error.into()))?;
    for ((table, frame), entry) in bundle.iter().zip(frames).zip(header.chunks_exact_mut(HEADER)) {
        let mut rows = table.conform(frame).map_err(failed)?;
        let mut stream = Summed { to: &mut file, length: 0, sum: Crc::new() };
        IpcStreamWriter::new(&mut stream).with_compat_level(CompatLevel::newest()).finish(&mut rows).map_err(failed)?;
        entry.copy_from_slice(&[&stream.length.to_le_bytes()[..], &stream.sum.sum().to_le_bytes()].concat());
    }
    let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header)).and_then(|()| file.flush());
    written.and_then(|()| file.get_ref().sync_all()).map_err(|error| failed(error.into()))
}

/// Counts the bytes and computes their checksum while they are written, so that no second copy of the chunk is in memory.
struct Summed<'a> {
    to: &'a mut BufWriter<File>,
    length: u64,
    sum: Crc,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.length += written as u64;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Reads all tables of a file.
///
/// # Errors
/// When the file cannot be read, was changed, or does not contain these tables.
pub fn read_bundle(path: &Path, bundle: &Bundle) -> Result<Vec<DataFrame>, TableError> {
    let mut file = Opened::at(path, bundle)?;
    bundle.iter().enumerate().map(|(index, table)| file.read(index, table, None)).collect()
}

/// Reads one table of a file, or some columns of it.
///
/// # Errors
/// As [`read_bundle`].
pub fn read_bundled(path: &Path, bundle: &Bundle, table: &Table, columns: Option<&[&str]>) -> Result<DataFrame, TableError> {
    let index = bundle.iter().position(|bundled| bundled.name == table.name);
    let index = index.ok_or_else(|| reading(path, polars_err!(ComputeError: "no table `{}` is in it", table.name)))?;
    let columns = columns.map(|columns| columns.iter().map(|name| (*name).to_string()).collect());
    Opened::at(path, bundle)?.read(index, table, columns)
}

/// Whether a file has this table. A file of an earlier version may lack it.
///
/// # Errors
/// When the file cannot be read.
pub fn bundle_has(path: &Path, bundle: &Bundle, table: &Table) -> Result<bool, TableError> {
    let index = bundle.iter().position(|bundled| bundled.name == table.name);
    let opened = Opened::at(path, bundle)?;
    Ok(index.is_some_and(|index| index < opened.tables.len()))
}

struct Opened<'a> {
    path: &'a Path,
    file: File,
    /// The start, length and checksum of each table.
    tables: Vec<(u64, u64, u32)>,
}

impl<'a> Opened<'a> {
    fn at(path: &'a Path, bundle: &Bundle) -> Result<Opened<'a>, TableError> {
        let failed = |error: std::io::Error| reading(path, error.into());
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut header = vec![0; HEADER * bundle.len()];
        file.read_exact(&mut header).map_err(failed)?;
        let tables = (1..=bundle.len()).rev().map(|count| entries(&header[..HEADER * count]));
        let is_whole =
            |tables: &Vec<(u64, u64, u32)>| tables.last().is_some_and(|(start, length, _)| start.saturating_add(*length) == size);
        // If a file was cut, its size fits no number of tables. Then all tables are expected, and reading them fails.
        let found = tables.clone().find(is_whole).or_else(|| tables.clone().next());
        Ok(Opened { path, tables: found.unwrap_or_default(), file })
    }

    fn read(&mut self, index: usize, table: &Table, columns: Option<Vec<String>>) -> Result<DataFrame, TableError> {
        let failed = |error| reading(self.path, error);
        let Some(&(start, length, sum)) = self.tables.get(index) else { return Ok(table.empty()) };
        let mut bytes = Vec::new();
        let came = self.file.seek(SeekFrom::Start(start)).and_then(|_| (&self.file).take(length).read_to_end(&mut bytes));
        came.map_err(|error| failed(error.into()))?;
        if bytes.len() as u64 != length || checksum(&bytes) != sum {
            return Err(failed(polars_err!(ComputeError: "the table `{}` in it was changed or cut", table.name)));
        }
        let is_all = columns.is_none();
        let rows = IpcStreamReader::new(Cursor::new(bytes)).with_columns(columns).finish().map_err(failed)?;
        if is_all { table.conform(&rows).map_err(failed) } else { Ok(rows) }
    }
}

/// The start, length and checksum of each table of a header.
fn entries(header: &[u8]) -> Vec<(u64, u64, u32)> {
    let mut start = header.len() as u64;
    let entries = header.chunks_exact(HEADER).map(|entry| {
        let length = entry.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        let sum = entry.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
        let entry = (start, length, sum);
        start = start.saturating_add(length);
        entry
    });
    entries.collect()
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn reading(path: &Path, error: PolarsError) -> TableError {
    TableError::new("read", format!("`{}`", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Kind};

    const PEOPLE: Table = Table {
        name: "people",
        row: "one",
        key: &["id"],
        columns: &[Column::new("id", Kind::Text, "id"), Column::new("is_known", Kind::Flag, "known").or_null("unknown")],
    };
    const WORDS: Table = Table { name: "words", row: "one", key: &["word"], columns: &[Column::new("word", Kind::Text, "word")] };
    const BOTH: &Bundle = &[&PEOPLE, &WORDS];

    fn frames() -> [DataFrame; 2] {
        let people = df!("id" => ["a", "a text that is longer than a view"], "is_known" => [None, Some(true)]).unwrap();
        [people, df!("word" => ["none", "two", ""]).unwrap()]
    }

    #[test]
    fn tables_and_single_columns_are_read_as_written() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("both");
        write_bundle(&frames(), BOTH, &path).unwrap();
        let read = read_bundle(&path, BOTH).unwrap();
        assert!(read.iter().zip(&frames()).all(|(read, written)| read.equals_missing(written)), "{read:?}");
        assert_eq!(read_bundled(&path, BOTH, &PEOPLE, Some(&["is_known"])).unwrap().shape(), (2, 1));
        assert!(read_bundled(&path, BOTH, &WORDS, None).unwrap().equals(&frames()[1]));
        write_bundle(&BOTH.iter().map(|table| table.empty()).collect::<Vec<_>>(), BOTH, &path).unwrap();
        assert!(read_bundle(&path, BOTH).unwrap().iter().all(|rows| rows.height() == 0));
    }

    #[test]
    fn a_table_that_an_earlier_version_did_not_write_has_no_rows() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("one");
        let one: &Bundle = &[&PEOPLE];
        write_bundle(&frames()[..1], one, &path).unwrap();
        let read = read_bundle(&path, BOTH).unwrap();
        assert!(read[0].equals_missing(&frames()[0]));
        assert_eq!((read[1].height(), bundle_has(&path, BOTH, &WORDS).unwrap()), (0, false));
        assert!(bundle_has(&path, BOTH, &PEOPLE).unwrap());
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("both");
        write_bundle(&frames(), BOTH, &path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read_bundle(&path, BOTH).is_err(), "{length} of {}", whole.len());
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert!(read_bundle(&path, BOTH).is_err(), "byte {at}");
        }
    }
}
