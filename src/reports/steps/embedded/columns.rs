//! Columns of the tables that are made here.

use polars::prelude::*;

/// A column of texts from their indexes.
pub(super) fn texts(name: &str, texts: &StringChunked, at: Vec<u32>) -> PolarsResult<Column> {
    Ok(texts.take(&positions(at))?.with_name(name.into()).into_column())
}

pub(super) fn positions(at: Vec<u32>) -> UInt32Chunked {
    UInt32Chunked::from_vec("at".into(), at)
}

/// The texts from which [`texts`] makes a column.
pub(super) fn of(texts: &[&str]) -> StringChunked {
    StringChunked::from_slice("".into(), texts)
}

/// A column of days, or of counts, that may be null.
pub(super) struct Optional<T: PolarsNumericType>(PrimitiveChunkedBuilder<T>);
pub(super) type Days = Optional<Int32Type>;
pub(super) type Counts = Optional<Int64Type>;

impl<T: PolarsNumericType> Optional<T> {
    pub(super) fn with_capacity(rows: usize) -> Optional<T> {
        Optional(PrimitiveChunkedBuilder::new("".into(), rows))
    }

    pub(super) fn push(&mut self, value: Option<T::Native>) {
        self.0.append_option(value);
    }
}

impl Days {
    pub(super) fn column(self, name: &str) -> PolarsResult<Column> {
        self.0.finish().with_name(name.into()).into_series().cast(&DataType::Date).map(IntoColumn::into_column)
    }
}

impl Counts {
    pub(super) fn column(self, name: &str) -> PolarsResult<Column> {
        Ok(self.0.finish().with_name(name.into()).into_column())
    }
}
