//! The members of one group as they are now. Pages are passed on as they come, so that memory does not grow with the group. Nothing
//! is saved.

mod file;
mod lines;

use polars::prelude::{Column as Values, DataFrame, IntoColumn, NamedFrom, PolarsError, Series};

use crate::privacy::Privacy;
use archive::publish::PublishError;
use archive::snapshot::{CONTACTS, SnapshotError, contact_columns};
use archive::table::{Column, Kind, Table, TableError, io_error};
use domain::{Allowed, AttributeValue, Contact, Group, IdSet, agrees};
use intercom::{Client, RequestError, Stream, StreamError};

pub use file::{ParquetFile, TextFile};
pub use lines::Lines;

/// A contact with everything that the API gives: the columns of a snapshot's contacts, and all custom attributes in one column.
pub const LISTING: Table =
    Table { name: "listing", row: "a member of the group, as it is now", key: &["contact_id"], columns: &LISTING_COLUMNS };

const LISTING_COLUMNS: [Column; CONTACTS.columns.len()] = {
    let about = "the custom attributes as one JSON object; those that are not set are left out";
    let mut columns = [Column::new("custom_attributes", Kind::Json, about); CONTACTS.columns.len()];
    // Leaves out the column of the population, which only a month of a job has. The last column takes its position.
    let (mut from, mut to) = (0, 0);
    while from < CONTACTS.columns.len() {
        if from != IN_POPULATION {
            columns[to] = CONTACTS.columns[from];
            to += 1;
        }
        from += 1;
    }
    columns
};

/// The position of `in_population` in the contacts table; a test checks it.
const IN_POPULATION: usize = 1;

/// A target for rows.
pub trait Rows {
    /// The preferred number of rows for `take`.
    fn at_once(&self) -> usize;

    fn take(&mut self, rows: &DataFrame) -> Result<(), ListingError>;

    /// Called when the stream is read again from its start. Returns whether earlier rows were dropped. Printed rows cannot be
    /// dropped.
    fn restart(&mut self) -> Result<bool, ListingError>;

    /// Called when all rows came.
    fn finish(self) -> Result<(), ListingError>;
}

#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the members could not be read to the end")]
    Stream(#[source] StreamError),
    #[error("{came} members came, {announced} were announced")]
    Incomplete { came: u64, announced: u64 },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Columns(#[from] SnapshotError),
    #[error(transparent)]
    Write(TableError),
    /// The reader of the rows closed the pipe.
    #[error("the reader closed the pipe")]
    Closed,
}

impl ListingError {
    /// A pipe that its reader closed is not a write error.
    pub fn write(error: PolarsError) -> ListingError {
        if io_error(&error).is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            ListingError::Closed
        } else {
            ListingError::Write(TableError::new("write", "the list", error))
        }
    }
}

/// Reads all members of the group. Returns their number, each counted once.
///
/// # Errors
/// If members are missing, beyond the tolerance. Printed rows stay, but no file is written.
pub async fn list(
    client: &Client,
    group: &Group,
    tolerance: f64,
    privacy: &Privacy,
    mut rows: impl Rows,
    on_progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<u64, ListingError> {
    let mut stream = client.members(group, None, None).await?;
    let mut seen = IdSet::default();
    let mut waiting = Vec::new();
    let (mut first, mut last) = (None, None);
    let mut unconfirmed = 0;
    while let Some(page) = next(&mut stream).await? {
        if page.is_restart {
            first = None;
            // If the earlier rows were dropped, all contacts are passed on again. If not, each contact is passed on only once.
            if rows.restart()? {
                seen = IdSet::default();
                waiting.clear();
            }
        }
        first = first.or(page.total);
        last = page.total.or(last);
        unconfirmed += page.oddities.tag_unconfirmed;
        let new = page.rows.into_iter().filter(|contact| seen.insert(&contact.id));
        waiting.extend(new.map(|contact| privacy.apply(contact)));
        on_progress(seen.len() as u64, last);
        if waiting.len() >= rows.at_once() {
            rows.take(&columns(&waiting)?)?;
            waiting.clear();
        }
    }
    rows.take(&columns(&waiting)?)?;
    let came = seen.len() as u64;
    if !agrees(came, first, last, Allowed::Tolerance(tolerance)) {
        return Err(ListingError::Incomplete { came, announced: last.unwrap_or_default() });
    }
    rows.finish()?;
    if unconfirmed > 0 {
        tracing::warn!("{unconfirmed} of {came} members do not have the tag in their own list of tags: the search is out of date");
    }
    Ok(came)
}

async fn next(stream: &mut Stream<Contact>) -> Result<Option<intercom::Page<Contact>>, ListingError> {
    stream.next().await.map_err(|error| match error {
        StreamError::Request(error) => ListingError::Request(error),
        error => ListingError::Stream(error),
    })
}

fn columns(contacts: &[Contact]) -> Result<DataFrame, ListingError> {
    let mut columns = contact_columns(contacts)?;
    let custom: Vec<String> = contacts.iter().map(|contact| custom_attributes(contact).to_string()).collect();
    let custom: Values = Series::new("custom_attributes".into(), custom).into_column();
    columns.with_column(custom).map_err(ListingError::write)?;
    Ok(columns)
}

fn custom_attributes(contact: &Contact) -> serde_json::Value {
    let value = |value: &AttributeValue| -> serde_json::Value {
        match value {
            AttributeValue::Text(text) => text.as_str().into(),
            AttributeValue::Number(number) => number.to_json(),
            AttributeValue::Bool(flag) => (*flag).into(),
            AttributeValue::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| json.as_str().into()),
        }
    };
    contact.custom_attributes.iter().map(|attribute| (attribute.name.clone(), value(&attribute.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_has_the_columns_of_a_contact_and_its_attributes() {
        assert_eq!(CONTACTS.columns[IN_POPULATION].name, "in_population");
        let names: Vec<&str> = LISTING.columns.iter().map(|column| column.name).collect();
        let contacts = CONTACTS.columns.iter().map(|column| column.name).filter(|name| *name != "in_population");
        assert_eq!(names, contacts.chain(["custom_attributes"]).collect::<Vec<_>>());
    }
}
