//! The folder of a month in which an engine outside of this process writes: `.engine/run_month=2026-10/<query>/<attempt>/….parquet`. Files
//! that are published are first copied to the month's folder.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::EngineError;
use super::script::ATTEMPT;
use crate::publish::{PublishError, Staging};
use crate::store::{ENGINE, SCRIPT, Store, WrittenFile};
use crate::table::{Table, TableError, in_order, scan, write_parquet};

/// How many bytes are read first from the end of a file. In most Parquet files, the metadata with the number of rows is smaller.
const TAIL: u64 = 64 << 10;
/// The last bytes of a Parquet file. The size of its metadata is in the four bytes before them.
const MAGIC: &[u8; 4] = b"PAR1";

/// The folder with the files that an engine reads and writes for one month.
#[derive(Clone, Debug)]
pub struct EngineFolder {
    store: Arc<dyn Store>,
    folder: String,
    /// For each query that is done, the folder with its rows.
    done: Arc<Mutex<BTreeMap<String, String>>>,
    is_locked: bool,
}

impl EngineFolder {
    /// A folder below [`ENGINE`]. `is_locked`: whether this process has the job's lock.
    pub(crate) fn new(store: &Arc<dyn Store>, name: &str, is_locked: bool) -> EngineFolder {
        EngineFolder { store: store.clone(), folder: format!("{ENGINE}/{name}"), done: Arc::default(), is_locked }
    }

    /// The path for the rows of a query, relative to the job's location. The name of an attempt must be new, also among the attempts of
    /// earlier commands: an attempt whose answer was lost may still be writing into its folder.
    pub fn path(&self, query: &str, attempt: &str) -> String {
        format!("{}/{query}/{attempt}", self.folder)
    }

    /// Records where the rows of a query are, after all of them are written. An engine may write no file if there are no rows. Then this
    /// function writes an empty table; without the job's lock, it returns an error.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn finished(&self, query: &str, table: &'static Table, attempt: &str) -> Result<(), EngineError> {
        let path = self.path(query, attempt);
        if self.store.written_below(&path)?.is_empty() {
            if !self.is_locked {
                let problem = format!("`{}` has no file of it: the engine writes elsewhere", self.store.shown(&path).display());
                return Err(EngineError::Unsound { query: query.to_string(), problem });
            }
            self.write(&path, table, &table.empty())?;
        }
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(query.to_string(), path);
        Ok(())
    }

    /// Marks the folder, so that no command removes it before a person has run its script. `from` is what the script was made from.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_for_script(&self, from: &[u8]) -> Result<(), EngineError> {
        Ok(self.store.write(&format!("{}/{SCRIPT}", self.folder), from)?)
    }

    /// What the script of this month was made from; `None` if there is no script.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn script(&self) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.store.read(&format!("{}/{SCRIPT}", self.folder))?)
    }

    /// Records where the rows are that a script wrote for a query.
    ///
    /// # Errors
    /// When the script wrote no file for the query: it has not run to its end.
    pub fn take_from_script(&self, query: &str) -> Result<(), EngineError> {
        let path = self.path(query, ATTEMPT);
        if self.store.written_below(&path)?.is_empty() {
            return Err(EngineError::NotRun { folder: self.store.shown(&self.folder).display().to_string(), query: query.to_string() });
        }
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(query.to_string(), path);
        Ok(())
    }

    /// Writes a small table for the engine. Returns the path of its file, relative to the job's location.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, table: &'static Table, rows: &DataFrame) -> Result<String, EngineError> {
        self.write(&format!("{}/inputs/{}", self.folder, table.name), table, rows)
    }

    fn write(&self, folder: &str, table: &'static Table, rows: &DataFrame) -> Result<String, EngineError> {
        let staging = Staging::new(&self.store.staging(), &format!("engine-{}", table.name))?;
        let local = staging.place("rows.parquet")?;
        write_parquet(rows, table, &local)?;
        let bytes = std::fs::read(&local).map_err(|error| PublishError::new("read", &local, error))?;
        let path = format!("{folder}/part-00000.parquet");
        self.store.write(&path, &bytes)?;
        Ok(path)
    }

    /// The files with the rows of a query that is done, in the order of their names.
    ///
    /// # Errors
    /// When the folder cannot be listed, or the query is not done.
    pub fn files(&self, query: &str) -> Result<Vec<String>, EngineError> {
        Ok(self.written(query)?.into_iter().map(|file| file.path).collect())
    }

    fn written(&self, query: &str) -> Result<Vec<WrittenFile>, EngineError> {
        let unsound = |problem: &str| EngineError::Unsound { query: query.to_string(), problem: problem.to_string() };
        let path = self.done.lock().unwrap_or_else(PoisonError::into_inner).get(query).cloned();
        let files = self.store.written_below(&path.ok_or_else(|| unsound("it was not run"))?)?;
        if files.is_empty() { Err(unsound("its files are gone")) } else { Ok(files) }
    }

    /// The rows of a query, in the order of the table's key. Only for small tables.
    ///
    /// # Errors
    /// When its files cannot be read, or do not fit the table.
    pub fn rows(&self, query: &str, table: &'static Table) -> Result<DataFrame, EngineError> {
        let mut all = table.empty();
        self.each_part(query, table, &mut |rows| {
            all.vstack_mut_owned(rows).map_err(|error| TableError::new("read", format!("`{query}`"), error))?;
            Ok(())
        })?;
        Ok(in_order(all, table).map_err(|error| TableError::new("read", format!("`{query}`"), error))?)
    }

    /// The rows of each file of a query, one file after another. No more than one file is in memory.
    ///
    /// # Errors
    /// When a file cannot be read, or does not fit the table.
    pub fn each_part(
        &self,
        query: &str,
        table: &'static Table,
        take: &mut dyn FnMut(DataFrame) -> Result<(), TableError>,
    ) -> Result<(), EngineError> {
        for file in self.written(query)? {
            let local = self.store.fetch_written(&file)?;
            let failed = |error| TableError::new("read", format!("`{query}`"), error);
            let rows = scan(&[local.path().to_path_buf()], table)?.collect().map_err(failed)?;
            take(table.conform(&rows).map_err(failed)?)?;
        }
        Ok(())
    }

    /// The number of rows of a query.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn count(&self, query: &str) -> Result<u64, EngineError> {
        self.written(query)?.iter().map(|file| self.rows_of(query, file)).sum()
    }

    /// Adds the files of a query to a folder that will be published, as `<table>/part-00000.parquet` and so on.
    ///
    /// # Errors
    /// When a file cannot be read or copied.
    pub fn publish(&self, query: &str, table: &Table, staging: &Staging) -> Result<(), EngineError> {
        for (index, file) in self.written(query)?.iter().enumerate() {
            let rows = self.rows_of(query, file)?;
            self.store.place(file, staging, &format!("{}/part-{index:05}.parquet", table.name), rows)?;
        }
        Ok(())
    }

    /// The number of rows of a file, from the metadata at its end.
    fn rows_of(&self, query: &str, file: &WrittenFile) -> Result<u64, EngineError> {
        let unsound = || EngineError::Unsound { query: query.to_string(), problem: format!("`{}` is no Parquet file", file.path) };
        let mut end = self.store.tail(file, TAIL)?;
        let Some((rest, MAGIC)) = end.split_last_chunk::<4>() else { return Err(unsound()) };
        let Some((_, size)) = rest.split_last_chunk::<4>() else { return Err(unsound()) };
        let needed = u64::from(u32::from_le_bytes(*size)) + 8;
        if needed > file.bytes {
            return Err(unsound());
        }
        if needed > end.len() as u64 {
            end = self.store.tail(file, needed)?;
        }
        ParquetReader::new(Cursor::new(end)).num_rows().map(|rows| rows as u64).map_err(|_| unsound())
    }

    /// Removes all files. Attempts whose answers were lost may still write files; the next command removes these files.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> Result<(), EngineError> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(self.store.remove_below(&self.folder)?)
    }
}
