use std::fs::File;
use std::path::{Path, PathBuf};

use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::*;

use super::{Table, TableError};

/// Zstandard's fastest level. With it, parts of a snapshot took a sixth less time than with the default level, and were 2 % larger.
const ZSTD_LEVEL: i32 = 1;
/// The number of rows in a row group. It is fixed, so that the bytes of a file do not depend on the number of threads.
pub const ROW_GROUP_ROWS: usize = 65_536;
/// The maximum number of bytes of texts in a row group. A writer, or a reader of one column, has a whole row group in memory. So
/// this limit matters if rows are larger than usual.
const ROW_GROUP_BYTES: usize = 24 << 20;

/// Writes rows, sorted by the table's key, as one Parquet file: zstd, statistics, column descriptions in the file's metadata,
/// and no types that only Polars knows. Returns the number of rows.
///
/// # Errors
/// When the frame does not have the table's columns, or the file cannot be written.
pub fn write_parquet(frame: &DataFrame, table: &Table, path: &Path) -> Result<u64, TableError> {
    let failed = |error| TableError::writing(path, error);
    let mut frame = table.conform(frame).map_err(failed)?;
    // One chunk for each column: otherwise the bytes would depend on the number of threads that made the frame.
    frame.rechunk_mut();
    let (rows, group) = (frame.height() as u64, row_group_rows(&text_sizes(&frame)));
    sink(frame.lazy(), table, path, group)?;
    Ok(rows)
}

/// The bytes of the texts of each row.
pub(super) fn text_sizes(frame: &DataFrame) -> Vec<usize> {
    let mut sizes = vec![0; frame.height()];
    for texts in frame.columns().iter().filter_map(|column| column.str().ok()) {
        sizes.iter_mut().zip(texts.iter()).for_each(|(size, text)| *size += text.map_or(0, str::len));
    }
    sizes
}

/// The number of rows in a row group, for rows with texts of these sizes. It is halved until no row group has too many bytes.
pub(super) fn row_group_rows(sizes: &[usize]) -> usize {
    let mut rows = ROW_GROUP_ROWS;
    while rows > 1 && sizes.chunks(rows).any(|group| group.iter().sum::<usize>() > ROW_GROUP_BYTES) {
        rows /= 2;
    }
    rows
}

/// As [`write_parquet`], for rows that may not fit into memory. The streaming engine never holds all of them.
pub fn sink_parquet(rows: LazyFrame, table: &Table, path: &Path) -> Result<(), TableError> {
    sink(rows, table, path, ROW_GROUP_ROWS)
}

pub(super) fn sink(rows: LazyFrame, table: &Table, path: &Path, group: usize) -> Result<(), TableError> {
    let failed = |error| TableError::writing(path, error);
    let options = ParquetWriteOptions {
        compression: ParquetCompression::Zstd(Some(ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?)),
        statistics: StatisticsOptions::full(),
        row_group_size: Some(group),
        data_page_size: None,
        key_value_metadata: Some(KeyValueMetadata::from_static(descriptions(table))),
        arrow_schema: None,
        // The embedded Arrow schema uses plain strings: every reader knows them. Some readers do not know string views.
        compat_level: Some(CompatLevel::oldest()),
    };
    let target = SinkDestination::File { target: SinkTarget::Path(PlRefPath::try_from_path(path).map_err(failed)?) };
    rows.sink(target, FileWriteFormat::Parquet(options.into()), UnifiedSinkArgs::default())
        .and_then(|plan| plan.collect_with_engine(Engine::Streaming))
        .map_err(failed)?;
    Ok(())
}

/// Reads a file, or some of its columns.
///
/// # Errors
/// When the file cannot be read, or does not contain the table.
pub fn read_file(path: &Path, table: &Table, columns: Option<&[&str]>) -> Result<DataFrame, TableError> {
    let failed = |error| TableError::new("read", format!("`{}`", path.display()), error);
    let names = table.columns.iter().map(|column| column.name).filter(|name| columns.is_none_or(|columns| columns.contains(name)));
    scan(&[path.to_path_buf()], table)?.select(names.map(col).collect::<Vec<_>>()).collect().map_err(failed)
}

/// The metadata entries: a description of the table, and the description and unit of each column.
fn descriptions(table: &Table) -> Vec<(String, String)> {
    let mut entries = vec![("description".to_string(), format!("{}: a row is {}", table.name, table.row))];
    for column in table.columns {
        let null = if column.null.is_empty() { String::new() } else { format!(" Null: {}.", column.null) };
        entries.push((format!("description.{}", column.name), format!("{}.{null}", column.about)));
        entries.extend(column.unit().map(|unit| (format!("unit.{}", column.name), unit.to_string())));
    }
    entries
}

/// The other types that a file's column may have. All their values fit into the declared type.
const CASTS: CastColumnsPolicy = CastColumnsPolicy {
    integer_upcast: true,
    integer_to_float_cast: true,
    float_upcast: true,
    datetime_nanoseconds_downcast: true,
    datetime_milliseconds_upcast: true,
    ..CastColumnsPolicy::ERROR_ON_MISMATCH
};

/// A lazy scan over these files, which must have the table's key. Files of other versions of the program can be read: a
/// column that a file lacks is null, and a column that the table does not have is ignored.
///
/// # Errors
/// When a file does not contain the table.
pub fn scan(paths: &[PathBuf], table: &Table) -> Result<LazyFrame, TableError> {
    let failed = |error| TableError::new("scan", format!("the table `{}`", table.name), error);
    paths.iter().try_for_each(|path| check(path, table))?;
    let paths = paths.iter().map(|path| PlRefPath::try_from_path(path)).collect::<PolarsResult<Vec<_>>>().map_err(failed)?;
    let options = ParquetOptions { schema: Some(table.schema().into()), ..ParquetOptions::default() };
    let arguments = UnifiedScanArgs {
        // `run_month=…` in a path is for other readers. Here it must not become a column.
        hive_options: HiveOptions::new_disabled(),
        glob: false,
        cast_columns_policy: CASTS,
        missing_columns_policy: MissingColumnsPolicy::Insert,
        extra_columns_policy: ExtraColumnsPolicy::Ignore,
        ..UnifiedScanArgs::default()
    };
    let rows = DslBuilder::scan_parquet(ScanSources::Paths(paths.into_iter().collect()), options, arguments);
    Ok(rows.map_err(failed)?.build().into())
}

/// Checks a file's schema. A later error from Polars would name neither the file nor the problem.
fn check(path: &Path, table: &Table) -> Result<(), TableError> {
    let failed = |error| TableError::new("read", format!("`{}`", path.display()), error);
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    let schema = ParquetReader::new(file).schema().map_err(failed)?;
    for column in table.columns {
        let declared = column.kind.dtype();
        match schema.get(column.name).map(DataType::from_arrow_field) {
            Some(found) if CASTS.should_cast_column(column.name, &declared, &found).is_err() => {
                return Err(TableError::unfit(path, format!("its column `{}` is {found} instead of {declared}", column.name)));
            }
            None if table.key.contains(&column.name) => {
                return Err(TableError::unfit(path, format!("it has no column `{}`", column.name)));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// As [`scan`], but if there are no files, returns an empty table.
pub fn scan_or_empty(paths: &[PathBuf], table: &Table) -> Result<LazyFrame, TableError> {
    if paths.is_empty() { Ok(table.empty().lazy()) } else { scan(paths, table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_group_has_fewer_rows_if_they_are_large() {
        let rows = |sizes: &[usize]| {
            row_group_rows(&text_sizes(&df!("text" => sizes.iter().map(|size| "x".repeat(*size)).collect::<Vec<_>>()).unwrap()))
        };
        assert_eq!(rows(&[]), ROW_GROUP_ROWS);
        assert_eq!(rows(&vec![300; ROW_GROUP_ROWS + 1]), ROW_GROUP_ROWS, "usual rows");
        assert_eq!(rows(&vec![10_000; 4_096]), 2_048);
        // The rows are small, except for a few large rows in the middle.
        let mut mixed = vec![10; 50_000];
        mixed[20_000..23_000].fill(10_000);
        assert_eq!(rows(&mixed), 2_048);
        assert_eq!(rows(&[ROW_GROUP_BYTES + 1, 1]), 1);
    }
}
