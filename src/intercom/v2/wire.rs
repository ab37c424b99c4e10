//! Pages of contacts and conversations as 2.x sends them.

mod contact;
mod conversation;

use serde::Deserialize;

use crate::wire::lenient::{Whole, counting};
use crate::wire::next::Next;
use crate::wire::{DecodeError, decode, shape};
use domain::{Contact, Conversation, FoundContact, Oddities};

pub(crate) use conversation::conversation_tags;

#[derive(Debug)]
pub(crate) struct WirePage<T> {
    pub rows: Vec<T>,
    pub total: Option<u64>,
    pub next: Next,
    pub oddities: Oddities,
    /// The workspace ID in the rows.
    pub workspace_id: Option<String>,
}

#[derive(Deserialize)]
struct Pages {
    #[serde(default)]
    next: Next,
}

fn next(pages: Option<Pages>) -> Next {
    pages.map_or(Next::End, |pages| pages.next)
}

#[derive(Deserialize)]
struct ContactList {
    #[serde(alias = "contacts")]
    data: Vec<contact::WireContact>,
    total_count: Option<Whole>,
    pages: Option<Pages>,
}

pub(crate) fn contacts(body: &[u8], expected_tag: Option<&str>) -> Result<WirePage<Contact>, DecodeError> {
    let mut oddities = Oddities::default();
    let (page, counted) = counting(|| contact_page(body, |wire| wire.into_contact(expected_tag, &mut oddities)));
    oddities += counted;
    Ok(WirePage { oddities, ..page? })
}

/// Decodes the same page as `contacts` with any JSON parser. Returns the number of rows.
pub(crate) fn contact_rows_of<'de, D: serde::Deserializer<'de>>(json: D) -> Result<usize, D::Error> {
    let mut oddities = Oddities::default();
    let rows = ContactList::deserialize(json)?.data.into_iter().map(|wire| wire.into_contact(None, &mut oddities));
    let rows: Option<Vec<Contact>> = rows.collect();
    rows.map(|rows| rows.len()).ok_or_else(|| serde::de::Error::custom("a contact has no id"))
}

/// Decodes the same page as `contacts`, but returns only what a look-up needs.
pub(crate) fn found_contacts(body: &[u8], tag: Option<&str>) -> Result<WirePage<FoundContact>, DecodeError> {
    contact_page(body, |wire| wire.into_found_contact(tag))
}

fn contact_page<T>(body: &[u8], mut row: impl FnMut(contact::WireContact) -> Option<T>) -> Result<WirePage<T>, DecodeError> {
    let list: ContactList = decode(body)?;
    let mut rows = Vec::with_capacity(list.data.len());
    let workspace_id = list.data.iter().find_map(contact::WireContact::workspace_id);
    for (index, wire) in list.data.into_iter().enumerate() {
        rows.push(row(wire).ok_or_else(|| shape(format!("data[{index}].id")))?);
    }
    let total = list.total_count.and_then(|total| total.0);
    Ok(WirePage { rows, total, next: next(list.pages), oddities: Oddities::default(), workspace_id })
}

pub(crate) fn conversations(body: &[u8], _expected_tag: Option<&str>) -> Result<WirePage<Conversation>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "data")]
        conversations: Vec<conversation::WireConversation>,
        total_count: Option<Whole>,
        pages: Option<Pages>,
    }
    let (list, mut oddities) = counting(|| decode::<List>(body));
    let list = list?;
    let mut rows = Vec::with_capacity(list.conversations.len());
    for (index, wire) in list.conversations.into_iter().enumerate() {
        let at = |field: &str| shape(format!("conversations[{index}].{field}"));
        rows.push(wire.into_conversation(&mut oddities).map_err(at)?);
    }
    let total = list.total_count.and_then(|total| total.0);
    Ok(WirePage { rows, total, next: next(list.pages), oddities, workspace_id: None })
}

#[cfg(test)]
mod tests;
