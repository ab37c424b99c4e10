//! Planted merges, which an analyst should be able to find: in each month of 2026, leads are merged into users. Other merges happen at
//! random (see `people`).

use rand::RngExt;

use super::conversations::Conversation;
use super::groups::{LEADS_TO_CALL_ID, Segment, VALUE_LEAD};
use super::people::{Contact, End, Role, TagSpell};
use super::{Rng, WorldOptions, between};
use crate::calendar::{DAY, start_of_month};

/// The number of contacts in the smallest world with planted merges. In a smaller world, the merges would change too much.
const SMALLEST: usize = 2_000;
/// The number of draws before a merge is given up.
const DRAWS: usize = 400;

/// Merges leads into users. The leads are members of `Leads to call` or of `value_lead` at the start of the month and at the time of the
/// merge. The users are not deleted or merged later, except in a chain, in which the user is merged into another user two months later.
///
/// Only contacts that do nothing later are merged away. So nothing else changes.
pub(crate) fn plant(rng: &mut Rng, options: &WorldOptions, segments: &[Segment], conversations: &[Conversation], people: &mut [Contact]) {
    if options.contacts < SMALLEST {
        return;
    }
    let to_call = segments.iter().find(|segment| segment.id == LEADS_TO_CALL_ID);
    let mut planting = Planting { rng, options, to_call, busy_until: busy_until(conversations, people), people };
    for _ in 0..options.contacts / SMALLEST {
        planting.chain();
    }
    let leads = planting.leads();
    for month in 1..=12 {
        // The members are found once for each month, because this is the longest step in a large world.
        let groups = [Group::LeadsToCall, Group::ValueLead].map(|group| (group, planting.members(&leads, group, month)));
        for (group, members) in groups.iter().cycle().take(2 + options.contacts / 2_500) {
            if let Some((lead, at)) = planting.lead(members, *group, month)
                && let Some(user) = planting.user(at, None)
            {
                planting.merge(lead, at, user);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Group {
    LeadsToCall,
    ValueLead,
}

/// The last time at which each contact takes part in a new conversation or another contact is merged into it.
fn busy_until(conversations: &[Conversation], people: &[Contact]) -> Vec<i64> {
    let mut busy = vec![i64::MIN; people.len()];
    let mut extend = |index: u32, at: i64| {
        if let Some(last) = busy.get_mut(index as usize) {
            *last = at.max(*last);
        }
    };
    for conversation in conversations {
        conversation.participants().for_each(|index| extend(index, conversation.created_at));
    }
    for contact in people {
        if let Some((at, End::Merged(target))) = contact.end {
            extend(target, at);
        }
    }
    busy
}

struct Planting<'a> {
    rng: &'a mut Rng,
    options: &'a WorldOptions,
    to_call: Option<&'a Segment>,
    /// See [`busy_until`].
    busy_until: Vec<i64>,
    people: &'a mut [Contact],
}

impl Planting<'_> {
    /// The start of a month of 2026.
    fn start(&self, month: i32) -> i64 {
        start_of_month(&self.options.timezone, 2026, month)
    }

    /// Merges the contact `from` into the contact `into`, which gets the tags of `from` (an assumption).
    fn merge(&mut self, from: usize, at: i64, into: usize) {
        let spells: Vec<TagSpell> = self.people[from].tags_at(at).cloned().collect();
        let target = &mut self.people[into];
        for spell in spells {
            if !target.has_tag_at(spell.tag, at) {
                target.tags.retain(|own| own.tag != spell.tag || own.until <= at);
                target.tags.push(TagSpell { from: at, ..spell });
            }
        }
        target.tags.sort_by_key(|spell| (spell.tag, spell.from));
        self.busy_until[into] = at.max(self.busy_until[into]);
        self.people[from].end = Some((at, End::Merged(into as u32)));
    }

    /// Merges a lead into a user in April, and this user into another user in June.
    fn chain(&mut self) {
        let (first, second) = ((self.start(4), self.start(5)), (self.start(6), self.start(7)));
        let (first, second) = (between(self.rng, first.0 + DAY, first.1), between(self.rng, second.0 + DAY, second.1));
        // Users from before 2024 are not merged away: one of them is the only member of the tag `pilot customer`.
        let old = start_of_month(&self.options.timezone, 2024, 1);
        let lead =
            self.draw(first, |planting, index| planting.people[index].role_at(second) == Role::Lead && planting.is_free(index, first));
        let middle = self.draw(first, |planting, index| {
            let contact = &planting.people[index];
            contact.created_at > old && contact.role_at(first) == Role::User && planting.is_free(index, second)
        });
        let (Some(lead), Some(middle)) = (lead, middle) else { return };
        self.merge(lead, first, middle);
        if let Some(user) = self.user(first, Some(middle)) {
            self.merge(middle, second, user);
        }
    }

    /// Whether a contact stays, and does nothing from an instant on.
    fn is_free(&self, index: usize, at: i64) -> bool {
        self.people[index].end.is_none() && self.busy_until[index] < at
    }

    /// The contacts that may be merged away as leads.
    fn leads(&self) -> Vec<usize> {
        let begins = self.start(1);
        let may = |contact: &Contact| {
            let grouped = contact.phone.is_some() || contact.tags.iter().any(|spell| spell.tag == VALUE_LEAD);
            contact.end.is_none() && contact.role_at(begins) == Role::Lead && grouped
        };
        self.people.iter().enumerate().filter(|(_, contact)| may(contact)).map(|(index, _)| index).collect()
    }

    /// The leads that are in a group at the start of a month.
    fn members(&self, leads: &[usize], group: Group, month: i32) -> Vec<usize> {
        let start = self.start(month);
        let is_member = |index: &usize| self.people[*index].exists_at(start) && self.is_member(*index, group, start);
        leads.iter().copied().filter(is_member).collect()
    }

    fn is_member(&self, index: usize, group: Group, at: i64) -> bool {
        let contact = &self.people[index];
        match group {
            Group::LeadsToCall => self.to_call.is_some_and(|segment| segment.holds(contact, at)),
            Group::ValueLead => contact.role_at(at) == Role::Lead && contact.has_tag_at(VALUE_LEAD, at),
        }
    }

    /// A member to merge in a month, and when.
    fn lead(&mut self, members: &[usize], group: Group, month: i32) -> Option<(usize, i64)> {
        let (start, end) = (self.start(month), self.start(month + 1));
        for _ in 0..DRAWS.min(members.len() * 4) {
            let (index, at) = (members[self.rng.random_range(0..members.len())], between(self.rng, start + DAY, end));
            if self.is_free(index, at) && self.is_member(index, group, at) {
                return Some((index, at));
            }
        }
        None
    }

    /// A user to merge into, who is not deleted or merged away later. `other` is not drawn.
    fn user(&mut self, at: i64, other: Option<usize>) -> Option<usize> {
        self.draw(at, |planting, index| {
            let contact = &planting.people[index];
            contact.role_at(at) == Role::User && contact.end.is_none() && Some(index) != other
        })
    }

    /// Draws a contact that was created before an instant.
    fn draw(&mut self, before: i64, fits: impl Fn(&Self, usize) -> bool) -> Option<usize> {
        let born = self.people.partition_point(|contact| contact.created_at < before);
        for _ in 0..DRAWS.min(born * 4) {
            let index = self.rng.random_range(0..born);
            if fits(self, index) {
                return Some(index);
            }
        }
        None
    }
}
