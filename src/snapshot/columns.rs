//! Rows as columns.

use std::borrow::Cow;

use polars::prelude::*;

use super::SnapshotError;
use crate::domain::{AttributeValue, Contact, Conversation, Opener};
use crate::table::{TableError, instants};

fn texts<'a, R>(rows: &'a [R], name: &str, value: impl Fn(&'a R) -> Option<&'a str>) -> Column {
    let values: StringChunked = rows.iter().map(value).collect();
    values.with_name(name.into()).into_column()
}

fn flags<R>(rows: &[R], name: &str, value: impl Fn(&R) -> Option<bool>) -> Column {
    let values: BooleanChunked = rows.iter().map(value).collect();
    values.with_name(name.into()).into_column()
}

fn frame(rows: usize, columns: Vec<Column>) -> Result<DataFrame, SnapshotError> {
    Ok(DataFrame::new(rows, columns).map_err(|error| TableError::new("make", "the columns of a chunk", error))?)
}

/// The columns of the contacts table.
pub fn contact_columns(rows: &[Contact]) -> Result<DataFrame, SnapshotError> {
    macro_rules! columns {
        (texts: $($text:ident)*; instants: $($instant:ident)*; flags: $($flag:ident)*) => {
            vec![
                $(texts(rows, stringify!($text), |row| row.$text.as_deref()),)*
                $(instants(stringify!($instant), rows.iter().map(|row| row.$instant)),)*
                $(flags(rows, stringify!($flag), |row| row.$flag),)*
            ]
        };
    }
    let mut all = columns! {
        texts: external_id email phone name owner_id country region city country_code continent_code browser
            browser_version browser_language os language_override android_device android_os_version ios_device
            ios_os_version utm_campaign utm_content utm_medium utm_source utm_term referrer;
        instants: created_at updated_at signed_up_at last_seen_at last_replied_at last_contacted_at
            last_email_opened_at last_email_clicked_at android_last_seen_at ios_last_seen_at;
        flags: unsubscribed_from_emails has_hard_bounced marked_email_as_spam
    };
    all.push(texts(rows, "contact_id", |row| Some(&row.id)));
    all.push(texts(rows, "role", |row| Some(row.role.as_str())));
    // Known only when the walks are put together.
    all.push(flags(rows, "in_population", |_| Some(true)));
    frame(rows.len(), all)
}

pub(super) fn attribute_columns(contacts: &[Contact]) -> Result<DataFrame, SnapshotError> {
    struct Row<'a> {
        contact_id: &'a str,
        attribute: &'a str,
        value: Cow<'a, str>,
        number: Option<f64>,
        kind: &'static str,
    }
    let rows: Vec<Row<'_>> = contacts
        .iter()
        .flat_map(|contact| contact.custom_attributes.iter().map(move |attribute| (contact, attribute)))
        .map(|(contact, attribute)| {
            let (value, number, kind) = match &attribute.value {
                AttributeValue::Text(text) => (Cow::from(text.as_str()), None, "text"),
                AttributeValue::Number(number) => (number.to_string().into(), number.as_f64(), "number"),
                AttributeValue::Bool(flag) => (flag.to_string().into(), None, "flag"),
                AttributeValue::Json(json) => (json.as_str().into(), None, "json"),
            };
            Row { contact_id: &contact.id, attribute: &attribute.name, value, number, kind }
        })
        .collect();
    let numbers: Float64Chunked = rows.iter().map(|row| row.number).collect();
    let columns = vec![
        texts(&rows, "contact_id", |row| Some(row.contact_id)),
        texts(&rows, "attribute", |row| Some(row.attribute)),
        texts(&rows, "value", |row| Some(&row.value)),
        numbers.with_name("value_number".into()).into_column(),
        texts(&rows, "value_type", |row| Some(row.kind)),
    ];
    frame(rows.len(), columns)
}

pub(super) fn conversation_columns(rows: &[Conversation]) -> Result<DataFrame, SnapshotError> {
    let opened_by = |row: &Conversation| -> Option<String> {
        match &row.opener {
            Opener::Contact(id) => Some(id.clone()),
            Opener::UnknownContact | Opener::Workspace => None,
        }
    };
    let opened_by: StringChunked = rows.iter().map(opened_by).collect();
    let columns = vec![
        texts(rows, "conversation_id", |row| Some(&row.id)),
        instants("created_at", rows.iter().map(|row| Some(row.created_at))),
        opened_by.with_name("opened_by".into()).into_column(),
        texts(rows, "author_type", |row| row.author_type.as_deref()),
        texts(rows, "source_type", |row| row.source_type.as_deref()),
        texts(rows, "delivered_as", |row| row.delivered_as.as_deref()),
        texts(rows, "state", |row| row.state.as_deref()),
    ];
    frame(rows.len(), columns)
}
