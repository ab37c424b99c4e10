//! Pages of users, leads and conversations as 1.x sends them.

mod conversation;
mod counts;
mod html;
mod person;

use serde::Deserialize;

use crate::numbered::Page;
use crate::wire::lenient::{Text, Whole, counting, owned, some};
use crate::wire::{DecodeError, decode, shape};
use domain::{Contact, Conversation, FoundContact, GroupKind, Oddities};

pub(super) use counts::{conversation_states, sizes, totals};
pub(super) use person::Person;

/// One page of a scroll. It has no total.
#[derive(Debug)]
pub(super) struct ScrollPage {
    pub persons: Vec<Person>,
    /// The cursor. It is never missing on a page with rows.
    pub param: Option<String>,
}

#[derive(Default, Deserialize)]
struct Pages {
    total_pages: Option<Whole>,
    /// A URL. It is not followed. It only shows that there is a next page.
    next: Option<Text>,
}

impl Pages {
    fn last(&self) -> Option<u32> {
        self.total_pages.as_ref().and_then(|pages| u32::try_from(pages.0?).ok())
    }

    fn has_next(self) -> bool {
        some(self.next).is_some_and(|next| !next.is_empty())
    }
}

pub(super) fn contacts(body: &[u8]) -> Result<Page<Person>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "contacts")]
        users: Vec<person::WirePerson>,
        total_count: Option<Whole>,
        pages: Option<Pages>,
    }
    let (list, counted) = counting(|| decode::<List>(body));
    let list = list?;
    let pages = list.pages.unwrap_or_default();
    let total = list.total_count.and_then(|total| total.0);
    Ok(Page { rows: persons(list.users, counted)?, total, last: pages.last(), has_next: pages.has_next(), oddities: Oddities::default() })
}

/// Decodes the list of the contacts that have the requested e-mail address. In 1.0 the body may be a single user.
pub(super) fn found_contacts(body: &[u8], tag: Option<&str>) -> Result<Vec<FoundContact>, DecodeError> {
    let persons = match contacts(body) {
        Ok(page) => page.rows,
        Err(list) => vec![decode::<person::WirePerson>(body)?.into_person().ok_or(list)?],
    };
    let holder = |person: Person| {
        let is_tagged = tag.and_then(|tag| person.is_in(GroupKind::Tag, tag));
        let Contact { id, role, external_id, email, .. } = person.contact;
        FoundContact { id: id.into(), role, external_id: external_id.map(Into::into), email: email.map(Into::into), is_tagged }
    };
    Ok(persons.into_iter().map(holder).collect())
}

pub(super) fn scroll_page(body: &[u8]) -> Result<ScrollPage, DecodeError> {
    #[derive(Deserialize)]
    struct Scroll {
        #[serde(alias = "contacts")]
        users: Vec<person::WirePerson>,
        scroll_param: Option<Text>,
    }
    let (scroll, counted) = counting(|| decode::<Scroll>(body));
    let scroll = scroll?;
    let persons = persons(scroll.users, counted)?;
    let param = owned(scroll.scroll_param).filter(|param| !param.is_empty());
    if !persons.is_empty() && param.is_none() {
        return Err(shape("scroll_param"));
    }
    Ok(ScrollPage { persons, param })
}

/// The oddities of the page itself are added to its first row, because subscribers of a scroll take single rows, not pages.
fn persons(wire: Vec<person::WirePerson>, counted: Oddities) -> Result<Vec<Person>, DecodeError> {
    let person = |(index, wire): (usize, person::WirePerson)| wire.into_person().ok_or_else(|| shape(format!("users[{index}].id")));
    let mut persons: Vec<Person> = wire.into_iter().enumerate().map(person).collect::<Result<_, _>>()?;
    if let Some(first) = persons.first_mut() {
        first.oddities += counted;
    }
    Ok(persons)
}

pub(super) fn conversations(body: &[u8]) -> Result<Page<Conversation>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        conversations: Vec<conversation::WireConversation>,
        total_count: Option<Whole>,
        pages: Option<Pages>,
    }
    let (list, mut oddities) = counting(|| decode::<List>(body));
    let list = list?;
    let pages = list.pages.unwrap_or_default();
    let mut rows = Vec::with_capacity(list.conversations.len());
    for (index, wire) in list.conversations.into_iter().enumerate() {
        let at = |field: &str| shape(format!("conversations[{index}].{field}"));
        rows.push(wire.into_conversation(&mut oddities).map_err(at)?);
    }
    let total = list.total_count.and_then(|total| total.0);
    Ok(Page { rows, total, last: pages.last(), has_next: pages.has_next(), oddities })
}

#[cfg(test)]
mod tests;
