//! The members of one group as they are now: contacts or companies. Pages are passed on as they come, so that memory does not grow with
//! the group. Nothing is saved.

mod companies;
mod file;
mod lines;

use futures_util::{StreamExt, TryStreamExt, stream};
use polars::prelude::{Column as Values, DataFrame, IntoColumn, NamedFrom, PolarsError, Series};

use crate::privacy::Privacy;
use archive::publish::PublishError;
use archive::snapshot::{CONTACTS, SnapshotError, contact_columns};
use archive::table::{Column, Kind, Table, TableError, io_error};
use domain::{Allowed, AttributeValue, Contact, CustomAttribute, IdSet, OwnSubscriptions, Subscription, SubscriptionType, agrees};
use intercom::{Client, RequestError, Stream, StreamError};
use serde_json::json;

pub use companies::COMPANIES;
pub use file::{ParquetFile, TextFile};
pub use lines::Lines;

/// A contact with everything that the API gives: the columns of a snapshot's contacts, and all custom attributes in one column.
pub const LISTING: Table =
    Table { name: "listing", row: "a member of the group, as it is now", key: &["contact_id"], columns: &LISTING_COLUMNS };

const LISTING_COLUMNS: [Column; CONTACTS.columns.len() + 1] = {
    let about = "the custom attributes as one JSON object; those that are not set are left out";
    let mut columns = [Column::new("custom_attributes", Kind::Json, about); CONTACTS.columns.len() + 1];
    let about =
        "the explicit choices about subscriptions, as a JSON array of objects with `id`, `name` and `state` (opted_out or opted_in)";
    columns[CONTACTS.columns.len()] = Column::new("subscriptions", Kind::Json, about).or_null("the API does not have them (before 2.5)");
    // Leaves out the column of the population, which only a month of a job has. The custom attributes take its position at the end.
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

/// The maximum number of contacts that are completed at the same time.
const REQUESTED_AT_ONCE: usize = 8;

/// The position of `in_population` in the contacts table; a test checks it.
const IN_POPULATION: usize = 1;

/// What can be listed.
pub trait Listed: Sized + Send + 'static {
    fn id(&self) -> &str;

    /// Requests what the API cut from the row, and returns the complete row.
    fn completed(self, client: &Client) -> impl Future<Output = Result<Self, RequestError>> + Send;

    /// The row as it may be written.
    fn written(self, privacy: &Privacy) -> Self;

    /// The columns of the listing's table.
    fn columns(rows: &[Self], types: &[SubscriptionType]) -> Result<DataFrame, ListingError>;
}

/// What a listing needs besides the rows.
pub struct Source<'a> {
    pub client: &'a Client,
    pub privacy: &'a Privacy,
    /// The workspace's types of subscriptions, for their names.
    pub types: Vec<SubscriptionType>,
    pub tolerance: f64,
    /// Whether what the API cut from the rows is requested.
    pub completes: bool,
}

impl Listed for Contact {
    fn id(&self) -> &str {
        &self.id
    }

    async fn completed(mut self, client: &Client) -> Result<Contact, RequestError> {
        if let Some(own) = self.subscriptions.as_mut().filter(|own| !own.is_complete)
            && let Some(choices) = client.subscriptions(&self.id).await?
        {
            *own = OwnSubscriptions { choices, is_complete: true };
        }
        Ok(self)
    }

    fn written(self, privacy: &Privacy) -> Contact {
        privacy.apply(self)
    }

    fn columns(rows: &[Contact], types: &[SubscriptionType]) -> Result<DataFrame, ListingError> {
        let mut columns = contact_columns(rows)?;
        let attributes = custom_attributes(rows.iter().map(|contact| contact.custom_attributes.as_slice()));
        columns.with_column(attributes).map_err(ListingError::write)?;
        columns.with_column(subscriptions(rows, types)).map_err(ListingError::write)?;
        Ok(columns)
    }
}

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

/// Reads all members of a group. Returns their number, each counted once.
///
/// # Errors
/// If members are missing, beyond the tolerance. Printed rows stay, but no file is written.
pub async fn list<T: Listed>(
    mut stream: Stream<T>,
    source: &Source<'_>,
    mut rows: impl Rows,
    on_progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<u64, ListingError> {
    let mut seen = IdSet::default();
    let mut waiting = Vec::new();
    let (mut first, mut last) = (None, None);
    let mut unconfirmed = 0;
    while let Some(page) = next(&mut stream).await? {
        if page.is_restart {
            first = None;
            // If the earlier rows were dropped, all members are passed on again. If not, each member is passed on only once.
            if rows.restart()? {
                seen = IdSet::default();
                waiting.clear();
            }
        }
        first = first.or(page.total);
        last = page.total.or(last);
        unconfirmed += page.oddities.tag_unconfirmed;
        let new: Vec<T> = page.rows.into_iter().filter(|row| seen.insert(row.id())).collect();
        let new = if source.completes {
            stream::iter(new).map(|row| row.completed(source.client)).buffered(REQUESTED_AT_ONCE).try_collect().await?
        } else {
            new
        };
        waiting.extend(new.into_iter().map(|row| row.written(source.privacy)));
        on_progress(seen.len() as u64, last);
        if waiting.len() >= rows.at_once() {
            rows.take(&T::columns(&waiting, &source.types)?)?;
            waiting.clear();
        }
    }
    rows.take(&T::columns(&waiting, &source.types)?)?;
    let came = seen.len() as u64;
    if !agrees(came, first, last, Allowed::Tolerance(source.tolerance)) {
        return Err(ListingError::Incomplete { came, announced: last.unwrap_or_default() });
    }
    rows.finish()?;
    if unconfirmed > 0 {
        tracing::warn!("{unconfirmed} of {came} members do not have the tag in their own list of tags: what the API listed is out of date");
    }
    Ok(came)
}

async fn next<T>(stream: &mut Stream<T>) -> Result<Option<intercom::Page<T>>, ListingError> {
    stream.next().await.map_err(|error| match error {
        StreamError::Request(error) => ListingError::Request(error),
        error => ListingError::Stream(error),
    })
}

/// The choices about subscriptions of each contact, as one JSON array.
fn subscriptions(rows: &[Contact], types: &[SubscriptionType]) -> Values {
    let name = |id: &str| types.iter().find(|of| of.id == id).and_then(|of| of.name.as_deref());
    let choice = |one: &Subscription| json!({ "id": one.id.as_str(), "name": name(&one.id), "state": one.choice.as_str() });
    let choices = |contact: &Contact| {
        let own = contact.subscriptions.as_ref()?;
        Some(serde_json::Value::from_iter(own.choices.iter().map(choice)).to_string())
    };
    let all: Vec<Option<String>> = rows.iter().map(choices).collect();
    Series::new("subscriptions".into(), all).into_column()
}

/// The custom attributes of each row, as one JSON object.
fn custom_attributes<'a>(rows: impl Iterator<Item = &'a [CustomAttribute]>) -> Values {
    let value = |value: &AttributeValue| -> serde_json::Value {
        match value {
            AttributeValue::Text(text) => text.as_str().into(),
            AttributeValue::Number(number) => number.to_json(),
            AttributeValue::Bool(flag) => (*flag).into(),
            AttributeValue::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| json.as_str().into()),
        }
    };
    let object = |attributes: &[CustomAttribute]| -> serde_json::Value {
        attributes.iter().map(|attribute| (attribute.name.to_string(), value(&attribute.value))).collect()
    };
    let custom: Vec<String> = rows.map(|attributes| object(attributes).to_string()).collect();
    Series::new("custom_attributes".into(), custom).into_column()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_has_the_columns_of_a_contact_and_its_attributes() {
        assert_eq!(CONTACTS.columns[IN_POPULATION].name, "in_population");
        let names: Vec<&str> = LISTING.columns.iter().map(|column| column.name).collect();
        let contacts = CONTACTS.columns.iter().map(|column| column.name).filter(|name| *name != "in_population");
        assert_eq!(names, contacts.chain(["custom_attributes", "subscriptions"]).collect::<Vec<_>>());
    }
}
