//! Collects rows as columns as soon as they come.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::SnapshotError;
use crate::table::TableError;
use domain::{AttributeValue, Contact, Conversation, GroupKind, Opener, cohort_key};

/// The number of rows for which a new column allocates memory.
const INITIAL_ROWS: usize = 512;

fn texts(name: &str) -> StringChunkedBuilder {
    StringChunkedBuilder::new(name.into(), INITIAL_ROWS)
}

fn flags(name: &str) -> BooleanChunkedBuilder {
    BooleanChunkedBuilder::new(name.into(), INITIAL_ROWS)
}

fn numbers(name: &str) -> PrimitiveChunkedBuilder<Int64Type> {
    PrimitiveChunkedBuilder::new(name.into(), INITIAL_ROWS)
}

fn micros(instant: Option<DateTime<Utc>>) -> Option<i64> {
    instant.map(|instant| instant.timestamp_micros())
}

fn instants(column: PrimitiveChunkedBuilder<Int64Type>) -> Column {
    column.finish().into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column()
}

fn frame(columns: Vec<Column>) -> Result<DataFrame, SnapshotError> {
    Ok(DataFrame::new_infer_height(columns).map_err(making)?)
}

/// Which rows are kept when a later row replaces an earlier one with the same ID.
fn last_of_each(rows: &DataFrame, id: &str) -> Result<BooleanChunked, SnapshotError> {
    let ids = rows.column(id).and_then(|column| column.str()).map_err(making)?;
    let mut seen = HashSet::new();
    let mut is_kept: Vec<bool> = (0..ids.len()).rev().map(|row| seen.insert(ids.get(row))).collect();
    is_kept.reverse();
    Ok(BooleanChunked::new("is_kept".into(), is_kept))
}

/// Which rows belong to contacts that are kept.
fn of_kept(rows: &[usize], contacts: &BooleanChunked) -> BooleanChunked {
    rows.iter().map(|row| contacts.get(*row)).collect()
}

fn filtered(rows: DataFrame, kept: Option<&BooleanChunked>) -> Result<DataFrame, SnapshotError> {
    Ok(match kept {
        Some(kept) => rows.filter(kept).map_err(making)?,
        None => rows,
    })
}

fn making(error: PolarsError) -> TableError {
    TableError::new("make", "the columns of a chunk", error)
}

/// One type of column for each kind of field in `contact_fields`. `push` returns the number of bytes of the text.
mod kind {
    use super::*;

    pub(super) struct Text(StringChunkedBuilder);
    pub(super) struct Instant(PrimitiveChunkedBuilder<Int64Type>);
    pub(super) struct Flag(BooleanChunkedBuilder);

    impl Text {
        pub(super) fn new(name: &str) -> Text {
            Text(texts(name))
        }

        pub(super) fn push(&mut self, value: &Option<impl AsRef<str>>) -> usize {
            let text = value.as_ref().map(AsRef::as_ref);
            self.0.append_option(text);
            text.map_or(0, str::len)
        }

        pub(super) fn finish(self) -> Column {
            self.0.finish().into_column()
        }
    }

    impl Instant {
        pub(super) fn new(name: &str) -> Instant {
            Instant(numbers(name))
        }

        pub(super) fn push(&mut self, value: &Option<DateTime<Utc>>) -> usize {
            self.0.append_option(micros(*value));
            0
        }

        pub(super) fn finish(self) -> Column {
            instants(self.0)
        }
    }

    impl Flag {
        pub(super) fn new(name: &str) -> Flag {
            Flag(flags(name))
        }

        pub(super) fn push(&mut self, value: &Option<bool>) -> usize {
            self.0.append_option(*value);
            0
        }

        pub(super) fn finish(self) -> Column {
            self.0.finish().into_column()
        }
    }
}

macro_rules! columns_of_fields {
    ($($name:ident: $kind:ident, $use:ident, $about:literal, $null:literal;)*) => {
        /// Contacts, and their custom attributes.
        pub struct ContactColumns {
            rows: usize,
            bytes: usize,
            has_repeats: bool,
            contact_id: StringChunkedBuilder,
            role: StringChunkedBuilder,
            $($name: kind::$kind,)*
            attributes: AttributeColumns,
            tagged: TaggedColumns,
            subscriptions: SubscriptionColumns,
        }

        impl Default for ContactColumns {
            fn default() -> ContactColumns {
                ContactColumns {
                    rows: 0,
                    bytes: 0,
                    has_repeats: false,
                    contact_id: texts("contact_id"),
                    role: texts("role"),
                    $($name: kind::$kind::new(stringify!($name)),)*
                    attributes: AttributeColumns::default(),
                    tagged: TaggedColumns::default(),
                    subscriptions: SubscriptionColumns::default(),
                }
            }
        }

        impl ContactColumns {
            /// Adds a contact. If the columns may already have a record of it (`may_repeat`), this record replaces it.
            pub fn push(&mut self, contact: &Contact, may_repeat: bool) {
                self.contact_id.append_value(&contact.id);
                self.role.append_value(contact.role.as_str());
                $(self.bytes += self.$name.push(&contact.$name);)*
                self.attributes.push(contact, self.rows);
                self.tagged.push(contact, self.rows);
                self.subscriptions.push(contact, self.rows);
                self.rows += 1;
                self.has_repeats |= may_repeat;
            }

            pub fn len(&self) -> usize {
                self.rows
            }

            /// The number of bytes of all texts.
            pub fn bytes(&self) -> usize {
                self.bytes + self.attributes.bytes
            }

            pub(super) fn finish(self) -> Result<ContactFrames, SnapshotError> {
                let contacts = frame(vec![
                    self.contact_id.finish().into_column(),
                    self.role.finish().into_column(),
                    $(self.$name.finish(),)*
                    // The assembly of the snapshot sets `false` for contacts outside the population.
                    BooleanChunked::full("in_population".into(), true, self.rows).into_column(),
                ])?;
                let kept = if self.has_repeats { Some(last_of_each(&contacts, "contact_id")?) } else { None };
                let (attributes, tagged) = (self.attributes.finish(kept.as_ref())?, self.tagged.finish(kept.as_ref())?);
                let subscriptions = self.subscriptions.finish(kept.as_ref())?;
                Ok(ContactFrames { contacts: filtered(contacts, kept.as_ref())?, attributes, tagged, subscriptions })
            }
        }
    };
}

domain::contact_fields!(columns_of_fields);

/// The columns of the contacts table.
pub fn contact_columns(rows: &[Contact]) -> Result<DataFrame, SnapshotError> {
    let mut columns = ContactColumns::default();
    rows.iter().for_each(|contact| columns.push(contact, false));
    Ok(columns.finish()?.contacts)
}

/// The tables of a chunk of contacts.
pub(super) struct ContactFrames {
    pub contacts: DataFrame,
    pub attributes: DataFrame,
    pub tagged: DataFrame,
    pub subscriptions: DataFrame,
}

/// One row for each contact and each group in its own lists, and one row without a group for each list that the API cut. Empty if own lists
/// are not collected.
struct TaggedColumns {
    /// For each row, the row of its contact.
    of: Vec<usize>,
    contact_id: StringChunkedBuilder,
    cohort_key: StringChunkedBuilder,
}

impl Default for TaggedColumns {
    fn default() -> TaggedColumns {
        TaggedColumns { of: Vec::new(), contact_id: texts("contact_id"), cohort_key: texts("cohort_key") }
    }
}

impl TaggedColumns {
    fn push(&mut self, contact: &Contact, row: usize) {
        let lists = [(GroupKind::Tag, &contact.tags), (GroupKind::Segment, &contact.segments)];
        for (kind, list) in lists.into_iter().filter_map(|(kind, list)| Some((kind, list.as_ref()?))) {
            for id in &list.ids {
                self.row(contact, row, Some(&cohort_key(kind, id)));
            }
            if !list.is_complete {
                self.row(contact, row, None);
            }
        }
    }

    fn row(&mut self, contact: &Contact, row: usize, key: Option<&str>) {
        self.of.push(row);
        self.contact_id.append_value(&contact.id);
        self.cohort_key.append_option(key);
    }

    fn finish(self, contacts: Option<&BooleanChunked>) -> Result<DataFrame, SnapshotError> {
        let kept = contacts.map(|contacts| of_kept(&self.of, contacts));
        filtered(frame(vec![self.contact_id.finish().into_column(), self.cohort_key.finish().into_column()])?, kept.as_ref())
    }
}

/// The choices in the contacts' own lists, one row each, and one row without a choice for each contact whose lists were cut.
struct SubscriptionColumns {
    /// For each row, the row of its contact.
    of: Vec<usize>,
    contact_id: StringChunkedBuilder,
    subscription_id: StringChunkedBuilder,
    state: StringChunkedBuilder,
}

impl Default for SubscriptionColumns {
    fn default() -> SubscriptionColumns {
        let (contact_id, subscription_id, state) = (texts("contact_id"), texts("subscription_id"), texts("state"));
        SubscriptionColumns { of: Vec::new(), contact_id, subscription_id, state }
    }
}

impl SubscriptionColumns {
    fn push(&mut self, contact: &Contact, row: usize) {
        let Some(own) = &contact.subscriptions else { return };
        let cut = (!own.is_complete).then_some(None);
        for choice in own.choices.iter().map(Some).chain(cut) {
            self.of.push(row);
            self.contact_id.append_value(&contact.id);
            self.subscription_id.append_option(choice.map(|choice| choice.id.as_str()));
            self.state.append_option(choice.map(|choice| choice.choice.as_str()));
        }
    }

    fn finish(self, contacts: Option<&BooleanChunked>) -> Result<DataFrame, SnapshotError> {
        let kept = contacts.map(|contacts| of_kept(&self.of, contacts));
        let columns = [self.contact_id, self.subscription_id, self.state].map(|column| column.finish().into_column());
        filtered(frame(columns.to_vec())?, kept.as_ref())
    }
}

/// Custom attributes, one row each.
struct AttributeColumns {
    /// For each row, the row of its contact.
    of: Vec<usize>,
    bytes: usize,
    contact_id: StringChunkedBuilder,
    attribute: StringChunkedBuilder,
    value: StringChunkedBuilder,
    value_number: PrimitiveChunkedBuilder<Float64Type>,
    value_type: StringChunkedBuilder,
}

impl Default for AttributeColumns {
    fn default() -> AttributeColumns {
        AttributeColumns {
            of: Vec::new(),
            bytes: 0,
            contact_id: texts("contact_id"),
            attribute: texts("attribute"),
            value: texts("value"),
            value_number: PrimitiveChunkedBuilder::new("value_number".into(), INITIAL_ROWS),
            value_type: texts("value_type"),
        }
    }
}

impl AttributeColumns {
    fn push(&mut self, contact: &Contact, row: usize) {
        for attribute in &contact.custom_attributes {
            self.of.push(row);
            self.contact_id.append_value(&contact.id);
            self.attribute.append_value(&attribute.name);
            self.bytes += contact.id.len() + attribute.name.len();
            let (number, kind) = match &attribute.value {
                AttributeValue::Text(text) => {
                    self.bytes += text.len();
                    self.value.append_value(text);
                    (None, "text")
                }
                AttributeValue::Number(number) => {
                    self.value.append_value(number.to_string());
                    (Some(number.as_f64()), "number")
                }
                AttributeValue::Bool(flag) => {
                    self.value.append_value(if *flag { "true" } else { "false" });
                    (None, "flag")
                }
                AttributeValue::Json(json) => {
                    self.bytes += json.len();
                    self.value.append_value(json);
                    (None, "json")
                }
            };
            self.value_number.append_option(number);
            self.value_type.append_value(kind);
        }
    }

    /// The attributes of the contacts that are kept.
    fn finish(self, contacts: Option<&BooleanChunked>) -> Result<DataFrame, SnapshotError> {
        let kept = contacts.map(|contacts| of_kept(&self.of, contacts));
        let all = frame(vec![
            self.contact_id.finish().into_column(),
            self.attribute.finish().into_column(),
            self.value.finish().into_column(),
            self.value_number.finish().into_column(),
            self.value_type.finish().into_column(),
        ])?;
        filtered(all, kept.as_ref())
    }
}

/// Members without their records. The stream of everyone has the records.
pub(super) struct MemberColumns {
    rows: usize,
    contact_id: StringChunkedBuilder,
    updated_at: PrimitiveChunkedBuilder<Int64Type>,
}

impl Default for MemberColumns {
    fn default() -> MemberColumns {
        MemberColumns { rows: 0, contact_id: texts("contact_id"), updated_at: numbers("updated_at") }
    }
}

impl MemberColumns {
    pub(super) fn push(&mut self, id: &str, updated_at: Option<DateTime<Utc>>) {
        self.rows += 1;
        self.contact_id.append_value(id);
        self.updated_at.append_option(micros(updated_at));
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn finish(self) -> Result<DataFrame, SnapshotError> {
        frame(vec![self.contact_id.finish().into_column(), instants(self.updated_at)])
    }
}

pub struct ConversationColumns {
    rows: usize,
    bytes: usize,
    has_repeats: bool,
    conversation_id: StringChunkedBuilder,
    created_at: PrimitiveChunkedBuilder<Int64Type>,
    opened_by: StringChunkedBuilder,
    contact_ids: StringChunkedBuilder,
    author_type: StringChunkedBuilder,
    source_type: StringChunkedBuilder,
    delivered_as: StringChunkedBuilder,
    state: StringChunkedBuilder,
}

impl Default for ConversationColumns {
    fn default() -> ConversationColumns {
        ConversationColumns {
            rows: 0,
            bytes: 0,
            has_repeats: false,
            conversation_id: texts("conversation_id"),
            created_at: numbers("created_at"),
            opened_by: texts("opened_by"),
            contact_ids: texts("contact_ids"),
            author_type: texts("author_type"),
            source_type: texts("source_type"),
            delivered_as: texts("delivered_as"),
            state: texts("state"),
        }
    }
}

impl ConversationColumns {
    pub fn push(&mut self, row: &Conversation, may_repeat: bool) {
        self.conversation_id.append_value(&row.id);
        self.created_at.append_value(row.created_at.timestamp_micros());
        self.opened_by.append_option(match &row.opener {
            Opener::Contact(id) => Some(id),
            Opener::UnknownContact | Opener::Workspace | Opener::NoAuthor => None,
        });
        let contact_ids = row.contact_ids.join(" ");
        let texts = [&row.author_type, &row.source_type, &row.delivered_as, &row.state];
        self.bytes += row.id.len() + contact_ids.len() + texts.into_iter().flatten().map(String::len).sum::<usize>();
        self.contact_ids.append_option((!contact_ids.is_empty()).then_some(contact_ids));
        self.author_type.append_option(row.author_type.as_deref());
        self.source_type.append_option(row.source_type.as_deref());
        self.delivered_as.append_option(row.delivered_as.as_deref());
        self.state.append_option(row.state.as_deref());
        self.rows += 1;
        self.has_repeats |= may_repeat;
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn finish(self) -> Result<DataFrame, SnapshotError> {
        let all = frame(vec![
            self.conversation_id.finish().into_column(),
            instants(self.created_at),
            self.opened_by.finish().into_column(),
            self.contact_ids.finish().into_column(),
            self.author_type.finish().into_column(),
            self.source_type.finish().into_column(),
            self.delivered_as.finish().into_column(),
            self.state.finish().into_column(),
        ])?;
        let kept = if self.has_repeats { Some(last_of_each(&all, "conversation_id")?) } else { None };
        filtered(all, kept.as_ref())
    }
}
