use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use super::{ListingError, Rows};
use archive::publish::{PublishError, Staging};
use archive::table::{Table, scan_or_empty, sink_parquet, write_parquet};

/// The number of rows of a chunk of a Parquet file: some megabytes.
const CHUNK_ROWS: usize = 4_096;
const WHOLE: &str = "whole";

/// A staged file. It is beside its target until it is complete. If it is never complete, it is removed.
struct Draft {
    target: PathBuf,
    staging: Staging,
}

impl Draft {
    /// # Errors
    /// If the folder of the target does not exist or cannot be written to.
    fn create(target: &Path) -> Result<Draft, ListingError> {
        // A link is kept, and its target is replaced.
        let target = target.canonicalize().unwrap_or_else(|_| target.to_path_buf());
        let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(PublishError::new("write", &target, std::io::Error::other("its folder does not exist")).into());
        }
        if target.is_dir() {
            return Err(PublishError::new("write", &target, std::io::Error::other("it is a folder")).into());
        }
        // Removes the staged file of a run that was killed.
        let staging = Staging::new(folder, &target.file_name().unwrap_or_default().to_string_lossy())?;
        Ok(Draft { target, staging })
    }

    fn open(&self) -> Result<BufWriter<File>, ListingError> {
        let path = self.staging.place(WHOLE)?;
        Ok(File::create(&path).map(BufWriter::new).map_err(|error| PublishError::new("write", &path, error))?)
    }

    fn show(self) -> Result<(), ListingError> {
        Ok(self.staging.commit_file(WHOLE, &self.target)?)
    }
}

/// Writes rows as text into a file.
pub struct TextFile<R, T: 'static> {
    draft: Draft,
    rows: R,
    form: fn(BufWriter<File>, &'static T) -> R,
    of: &'static T,
}

impl<R: Rows, T> TextFile<R, T> {
    /// `form` makes the target that writes rows as text. It gets the file and `of`, such as the table.
    pub fn create(target: &Path, form: fn(BufWriter<File>, &'static T) -> R, of: &'static T) -> Result<TextFile<R, T>, ListingError> {
        let draft = Draft::create(target)?;
        let rows = form(draft.open()?, of);
        Ok(TextFile { draft, rows, form, of })
    }
}

impl<R: Rows, T> Rows for TextFile<R, T> {
    fn at_once(&self) -> usize {
        self.rows.at_once()
    }

    fn take(&mut self, rows: &DataFrame) -> Result<(), ListingError> {
        self.rows.take(rows)
    }

    fn restart(&mut self) -> Result<bool, ListingError> {
        self.rows = (self.form)(self.draft.open()?, self.of);
        Ok(true)
    }

    fn finish(self) -> Result<(), ListingError> {
        self.rows.finish()?;
        self.draft.show()
    }
}

/// Writes rows into a Parquet file: first as chunks, which are merged at the end.
pub struct ParquetFile {
    draft: Draft,
    chunks: Vec<PathBuf>,
    table: &'static Table,
}

impl ParquetFile {
    pub fn create(target: &Path, table: &'static Table) -> Result<ParquetFile, ListingError> {
        Ok(ParquetFile { draft: Draft::create(target)?, chunks: Vec::new(), table })
    }
}

impl Rows for ParquetFile {
    fn at_once(&self) -> usize {
        CHUNK_ROWS
    }

    fn take(&mut self, rows: &DataFrame) -> Result<(), ListingError> {
        let path = self.draft.staging.place(&format!("{:06}.parquet", self.chunks.len()))?;
        write_parquet(rows, self.table, &path)?;
        self.chunks.push(path);
        Ok(())
    }

    fn restart(&mut self) -> Result<bool, ListingError> {
        // New chunks overwrite chunks of the same names. The other chunks are removed with the staging folder.
        self.chunks.clear();
        Ok(true)
    }

    fn finish(self) -> Result<(), ListingError> {
        let path = self.draft.staging.place(WHOLE)?;
        sink_parquet(scan_or_empty(&self.chunks, self.table)?, self.table, &path)?;
        self.draft.show()
    }
}
