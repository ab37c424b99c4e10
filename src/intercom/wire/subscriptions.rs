//! The types of subscriptions of a workspace, and the choices of a contact.

use serde::Deserialize;

use super::lenient::{Flag, Listed, Nested, Text, Whole, owned, some};
use super::next::ListPages;
use super::{DecodeError, ListLength, ListPage, checked_id, decode, shape};
use domain::{Choice, OwnSubscriptions, Subscription, SubscriptionType};

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    pages: Option<ListPages>,
    #[serde(flatten)]
    length: ListLength,
}

pub(crate) fn subscription_types(body: &[u8]) -> Result<ListPage<SubscriptionType>, DecodeError> {
    #[derive(Deserialize)]
    struct WireType {
        id: Text,
        consent_type: Option<Text>,
        state: Option<Text>,
        #[serde(default)]
        default_translation: Nested<Translation>,
    }
    #[derive(Deserialize)]
    struct Translation {
        name: Option<Text>,
    }
    let List { data, pages, length } = decode::<List<WireType>>(body)?;
    ListPage::of(data, pages, length, |wire| {
        let id = checked_id(Some(wire.id)).ok_or_else(|| shape("data[].id"))?.into();
        let name = wire.default_translation.0.and_then(|translation| owned(translation.name));
        Ok(SubscriptionType { id, name, consent_type: owned(wire.consent_type), state: owned(wire.state) })
    })
}

/// All choices of one contact. The list has the types that the contact opted out of (consent type `opt_out`) and the types that it opted
/// into (`opt_in`). An entry with another consent type is `None`.
pub(crate) fn subscriptions(body: &[u8]) -> Result<ListPage<Option<Subscription>>, DecodeError> {
    #[derive(Deserialize)]
    struct WireChoice {
        id: Text,
        consent_type: Option<Text>,
    }
    let List { data, pages, length } = decode::<List<WireChoice>>(body)?;
    ListPage::of(data, pages, length, |wire| {
        let id = checked_id(Some(wire.id)).ok_or_else(|| shape("data[].id"))?;
        let choice = match some(wire.consent_type).as_deref() {
            Some("opt_out") => Choice::OptedOut,
            Some("opt_in") => Choice::OptedIn,
            _ => return Ok(None),
        };
        Ok(Some(Subscription { id, choice }))
    })
}

/// A list of choices in a contact's record: the opt-outs or the opt-ins. It has at most ten types; `has_more` and `total_count` show
/// whether these are all.
#[derive(Deserialize)]
pub(crate) struct OwnList {
    #[serde(default)]
    data: Listed<Linked>,
    total_count: Option<Whole>,
    #[serde(default)]
    has_more: Flag,
}

#[derive(Deserialize)]
struct Linked {
    id: Option<Text>,
}

/// The choices in a contact's record. `None` if the record has neither list. If both lists have a type, the contact opted out of it.
pub(crate) fn own_subscriptions(opted_out: Option<OwnList>, opted_in: Option<OwnList>) -> Option<OwnSubscriptions> {
    if opted_out.is_none() && opted_in.is_none() {
        return None;
    }
    let mut own = OwnSubscriptions { choices: Vec::new(), is_complete: true };
    let lists = [(opted_out, Choice::OptedOut), (opted_in, Choice::OptedIn)];
    for (list, choice) in lists.into_iter().filter_map(|(list, choice)| Some((list?, choice))) {
        let data = list.data.0.unwrap_or_default();
        let listed = data.len() as u64;
        let before = own.choices.len();
        own.choices.extend(data.into_iter().filter_map(|linked| Some(Subscription { id: checked_id(linked.id)?, choice })));
        let has_all_ids = (own.choices.len() - before) as u64 == listed;
        let is_full = list.total_count.is_none_or(|total| total.0 == Some(listed));
        own.is_complete &= has_all_ids && is_full && list.has_more.0 != Some(true);
    }
    Some(OwnSubscriptions { choices: first_of_each(own.choices), ..own })
}

/// The first choice for each type.
pub(crate) fn first_of_each(choices: Vec<Subscription>) -> Vec<Subscription> {
    let mut first: Vec<Subscription> = Vec::with_capacity(choices.len());
    for choice in choices {
        if !first.iter().any(|known| known.id == choice.id) {
            first.push(choice);
        }
    }
    first
}
