//! A table with many rows that repeat values of other tables, for example a contact's e-mail address in a row for each cohort. The rows are
//! put together only while they are written, and the values of each contact are formatted as CSV once.

use std::io::Write;
use std::path::Path;

use polars::prelude::*;

use super::csv::{Cells, LINE_END, SEPARATOR, header, write_cells, write_file, write_lines};
use super::{Table, TableError, parquet, write_csv, write_parquet};

/// The rows of a table, in memory or put together while they are written.
pub enum TableRows {
    InMemory(DataFrame),
    Gathered(Gather),
}

impl TableRows {
    pub fn height(&self) -> usize {
        match self {
            TableRows::InMemory(rows) => rows.height(),
            TableRows::Gathered(rows) => rows.height(),
        }
    }

    /// # Errors
    /// As [`Gather::lazy`].
    pub fn into_frame(self) -> PolarsResult<DataFrame> {
        match self {
            TableRows::InMemory(rows) => Ok(rows),
            TableRows::Gathered(rows) => rows.lazy()?.collect(),
        }
    }

    /// # Errors
    /// As [`write_parquet`].
    pub fn write_parquet(&self, table: &Table, path: &Path) -> Result<(), TableError> {
        match self {
            TableRows::InMemory(rows) => write_parquet(rows, table, path).map(drop),
            TableRows::Gathered(rows) => rows.write_parquet(path),
        }
    }

    /// # Errors
    /// As [`write_csv`].
    pub fn write_csv(&self, table: &'static Table, path: &Path) -> Result<(), TableError> {
        match self {
            TableRows::InMemory(rows) => write_csv(rows, table, path),
            TableRows::Gathered(rows) => rows.write_csv(path),
        }
    }
}

/// The rows of a table, sorted by its key: each column comes from one of the sources.
pub struct Gather {
    table: &'static Table,
    rows: usize,
    sources: Vec<Source>,
}

/// Columns of a [`Gather`].
pub enum Source {
    /// The columns of one row. All rows of the table have its values.
    Constant(DataFrame),
    /// Columns with one value for each row of the table.
    Rows(DataFrame),
    /// The columns of another table, and for each row of this table the index of its row in the other table.
    Lookup(DataFrame, UInt32Chunked),
}

impl Source {
    fn columns(&self) -> &DataFrame {
        match self {
            Source::Constant(columns) | Source::Rows(columns) | Source::Lookup(columns, _) => columns,
        }
    }
}

impl Gather {
    /// # Errors
    /// When the sources do not give each column of the table once, with its type, for each of the rows.
    pub fn new(table: &'static Table, rows: usize, sources: Vec<Source>) -> PolarsResult<Gather> {
        let mut gather = Gather { table, rows, sources };
        for source in &mut gather.sources {
            let fits = match source {
                Source::Constant(columns) => columns.height() == 1,
                Source::Rows(columns) => columns.height() == rows,
                Source::Lookup(columns, at) => {
                    *at = at.rechunk().into_owned();
                    at.len() == rows && at.null_count() == 0 && at.max().is_none_or(|last| (last as usize) < columns.height())
                }
            };
            if !fits {
                return Err(polars_err!(ShapeMismatch: "an input of `{}` does not have the expected {rows} rows", table.name));
            }
            let (Source::Constant(columns) | Source::Rows(columns) | Source::Lookup(columns, _)) = source;
            columns.rechunk_mut();
        }
        gather.table.columns.iter().try_for_each(|column| {
            let found = gather.source_of(column.name)?;
            match gather.sources[found].columns().column(column.name)?.dtype() {
                found if found == &column.kind.dtype() => Ok(()),
                found => Err(polars_err!(SchemaMismatch: "`{}` of `{}` is {found}", column.name, table.name)),
            }
        })?;
        Ok(gather)
    }

    pub fn height(&self) -> usize {
        self.rows
    }

    /// The index of the source that has the column.
    fn source_of(&self, name: &str) -> PolarsResult<usize> {
        let found = self.sources.iter().position(|source| source.columns().column(name).is_ok());
        found.ok_or_else(|| polars_err!(ColumnNotFound: "`{name}` of `{}` has no source", self.table.name))
    }

    /// All rows. They are put together when the plan runs.
    ///
    /// # Errors
    /// Never: [`Gather::new`] has checked the sources.
    pub fn lazy(&self) -> PolarsResult<LazyFrame> {
        let position = |source: usize| PlSmallStr::from_string(format!("row in {source}"));
        let (mut base, mut columns) = (Vec::new(), Vec::new());
        for (index, source) in self.sources.iter().enumerate() {
            match source {
                Source::Constant(_) => {}
                Source::Rows(rows) => base.extend(rows.columns().iter().cloned()),
                Source::Lookup(_, at) => base.push(at.clone().with_name(position(index)).into_column()),
            }
        }
        for column in self.table.columns {
            let index = self.source_of(column.name)?;
            let values = self.sources[index].columns().column(column.name)?.clone();
            columns.push(match &self.sources[index] {
                Source::Rows(_) => col(column.name),
                Source::Constant(_) => lit(Scalar::new(values.dtype().clone(), values.get(0)?.into_static())).alias(column.name),
                Source::Lookup(..) => {
                    let dtype = values.dtype().clone();
                    let taken = move |at: Column| Ok(values.as_materialized_series().take(at.u32()?)?.into_column());
                    col(position(index)).map(taken, move |_, field| Ok(Field::new(field.name().clone(), dtype.clone()))).alias(column.name)
                }
            });
        }
        Ok(DataFrame::new(self.rows, base)?.lazy().select(columns))
    }

    /// Writes the rows as [`write_parquet`] does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_parquet(&self, path: &Path) -> Result<(), TableError> {
        let failed = |error| TableError::writing(path, error);
        let group = parquet::row_group_rows(&self.text_sizes().map_err(failed)?);
        parquet::sink(self.lazy().map_err(failed)?, self.table, path, group)
    }

    /// The bytes of the texts of each row.
    fn text_sizes(&self) -> PolarsResult<Vec<usize>> {
        let mut sizes = vec![0; self.rows];
        for source in &self.sources {
            let of_source = parquet::text_sizes(source.columns());
            match source {
                Source::Constant(_) => sizes.iter_mut().for_each(|size| *size += of_source[0]),
                Source::Rows(_) => sizes.iter_mut().zip(of_source).for_each(|(size, own)| *size += own),
                Source::Lookup(_, at) => sizes.iter_mut().zip(at.cont_slice()?).for_each(|(size, row)| *size += of_source[*row as usize]),
            }
        }
        Ok(sizes)
    }

    /// Writes the rows as [`write_csv`] does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), TableError> {
        write_file(path, |file| {
            file.write_all(&header(self.table))?;
            let parts = self.parts()?;
            write_lines(file, self.rows, |row, lines| parts.iter().for_each(|part| part.write(row, lines)))
        })
    }

    /// The parts of a line: neighbouring columns of one source.
    fn parts(&self) -> PolarsResult<Vec<Part<'_>>> {
        let mut runs: Vec<(usize, Vec<Column>)> = Vec::new();
        for column in self.table.columns {
            let index = self.source_of(column.name)?;
            let values = self.sources[index].columns().column(column.name)?.clone();
            match runs.last_mut() {
                Some((last, run)) if *last == index => run.push(values),
                _ => runs.push((index, vec![values])),
            }
        }
        let last = runs.len().saturating_sub(1);
        let parts = runs.into_iter().enumerate().map(|(number, (index, columns))| {
            let end = if number == last { LINE_END } else { SEPARATOR };
            let cells = Cells::of_all(&columns)?;
            Ok(match &self.sources[index] {
                Source::Constant(_) => {
                    let mut text = Vec::new();
                    write_cells(&cells, 0, end, &mut text);
                    Part::Constant(text)
                }
                Source::Rows(_) => Part::Rows(cells, end),
                Source::Lookup(rows, at) => {
                    let at = at.cont_slice()?;
                    Part::Rendered(Rendered::of(&cells, rows.height(), at, end), at)
                }
            })
        });
        parts.collect()
    }
}

enum Part<'a> {
    Constant(Vec<u8>),
    Rows(Vec<Cells>, &'static [u8]),
    Rendered(Rendered, &'a [u32]),
}

impl Part<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Part::Constant(text) => out.extend_from_slice(text),
            Part::Rows(cells, end) => write_cells(cells, row, end, out),
            Part::Rendered(rendered, at) => out.extend_from_slice(rendered.get(at[row] as usize)),
        }
    }
}

/// The number of rows from which the length of the other rows is estimated.
const SAMPLE: usize = 1 << 12;

/// A part of the line of each row that is looked up.
struct Rendered {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Rendered {
    fn of(cells: &[Cells], rows: usize, at: &[u32], end: &[u8]) -> Rendered {
        let mut is_used = vec![false; rows];
        at.iter().for_each(|row| is_used[*row as usize] = true);
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(rows));
        for (row, is_used) in is_used.into_iter().enumerate() {
            if is_used {
                write_cells(cells, row, end, &mut bytes);
            }
            ends.push(bytes.len());
            if row + 1 == SAMPLE {
                // Reserves all memory at once: a vector that grows is in memory twice while it is moved.
                bytes.reserve_exact((bytes.len() / SAMPLE + 1) * (rows - SAMPLE) / 16 * 17);
            }
        }
        Rendered { bytes, ends }
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column as Entry, Kind};
    use super::*;

    const SEEN: Table = Table {
        name: "seen",
        row: "a sample",
        key: &["group"],
        columns: &[
            Entry::new("month", Kind::Text, "the month"),
            Entry::new("group", Kind::Text, "the group"),
            Entry::new("contact_id", Kind::Contact, "who"),
            Entry::new("name", Kind::Text, "the name").or_null("unknown"),
            Entry::new("months", Kind::Count, "months"),
            Entry::new("country", Kind::Text, "the country").or_null("unknown"),
        ],
    };

    fn gather(rows: &[(&str, u32, i64)]) -> PolarsResult<Gather> {
        let people = df!("contact_id" => ["a", "b", "c"], "name" => [Some("A, \"the\" one"), None, Some("=c")], "country" => [None, Some("IE"), Some("")])?;
        let column = |name: &str, values: Vec<i64>| Column::new(name.into(), values);
        let of_rows = DataFrame::new(
            rows.len(),
            vec![
                Column::new("group".into(), rows.iter().map(|row| row.0).collect::<Vec<_>>()),
                column("months", rows.iter().map(|row| row.2).collect()),
            ],
        )?;
        let at = UInt32Chunked::from_vec("at".into(), rows.iter().map(|row| row.1).collect());
        Gather::new(
            &SEEN,
            rows.len(),
            vec![Source::Constant(df!("month" => ["2026-10"])?), Source::Rows(of_rows), Source::Lookup(people, at)],
        )
    }

    #[test]
    fn rows_are_put_together_in_parquet_and_in_csv() {
        let gather = gather(&[("x", 2, 1), ("x", 0, 2), ("y", 2, 3), ("y", 1, 4)]).unwrap();
        let rows = gather.lazy().unwrap().collect().unwrap();
        let expected = df!(
            "month" => ["2026-10"; 4],
            "group" => ["x", "x", "y", "y"],
            "contact_id" => ["c", "a", "c", "b"],
            "name" => [Some("=c"), Some("A, \"the\" one"), Some("=c"), None],
            "months" => [1_i64, 2, 3, 4],
            "country" => [Some(""), None, Some(""), Some("IE")],
        );
        assert!(rows.equals_missing(&expected.unwrap()), "{rows}");
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        gather.write_csv(&path("a.csv")).unwrap();
        write_csv(&rows, &SEEN, &path("b.csv")).unwrap();
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!(read("a.csv"), read("b.csv"));
        assert!(read("a.csv").contains("\r\n2026-10,x,c,'=c,1,\"\"\r\n2026-10,x,a,\"A, \"\"the\"\" one\",2,\r\n"), "{}", read("a.csv"));
        gather.write_parquet(&path("a.parquet")).unwrap();
        write_parquet(&rows, &SEEN, &path("b.parquet")).unwrap();
        assert_eq!(std::fs::read(path("a.parquet")).unwrap(), std::fs::read(path("b.parquet")).unwrap());
    }

    #[test]
    fn rows_with_large_texts_are_in_small_row_groups() {
        let people = df!("contact_id" => ["a"], "name" => ["x".repeat(10_000)], "country" => ["IE"]).unwrap();
        let n = 3_000;
        let of_rows = df!("group" => vec!["x"; n], "months" => (0..n as i64).collect::<Vec<_>>()).unwrap();
        let at = UInt32Chunked::from_vec("at".into(), vec![0; n]);
        let month = Source::Constant(df!("month" => ["2026-10"]).unwrap());
        let gather = Gather::new(&SEEN, n, vec![month, Source::Rows(of_rows), Source::Lookup(people, at)]).unwrap();
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        gather.write_parquet(&path("a.parquet")).unwrap();
        write_parquet(&gather.lazy().unwrap().collect().unwrap(), &SEEN, &path("b.parquet")).unwrap();
        assert_eq!(std::fs::read(path("a.parquet")).unwrap(), std::fs::read(path("b.parquet")).unwrap());
        assert!(gather.text_sizes().unwrap().iter().all(|size| (10_000..10_100).contains(size)));
    }

    #[test]
    fn no_rows_give_a_header_and_an_empty_table() {
        let gather = gather(&[]).unwrap();
        let place = tempfile::tempdir().unwrap();
        gather.write_csv(&place.path().join("a.csv")).unwrap();
        assert_eq!(std::fs::read_to_string(place.path().join("a.csv")).unwrap(), "month,group,contact_id,name,months,country\r\n");
        assert_eq!(gather.lazy().unwrap().collect().unwrap().shape(), (0, 6));
    }

    #[test]
    fn a_source_of_another_length_or_type_is_an_error() {
        let month = || Source::Constant(df!("month" => ["2026-10"]).unwrap());
        let others = df!("group" => ["x"], "contact_id" => ["a"], "name" => ["A"], "months" => [1_i64], "country" => ["IE"]).unwrap();
        assert!(Gather::new(&SEEN, 1, vec![month(), Source::Rows(others.clone())]).is_ok());
        assert!(Gather::new(&SEEN, 2, vec![month(), Source::Rows(others.clone())]).is_err());
        assert!(Gather::new(&SEEN, 1, vec![Source::Rows(others.clone())]).is_err());
        let mut numbered = others;
        numbered.with_column(Column::new("contact_id".into(), [1_u32])).unwrap();
        assert!(Gather::new(&SEEN, 1, vec![month(), Source::Rows(numbered)]).is_err());
    }
}
