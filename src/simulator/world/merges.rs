//! Planted merges. A few merges happen at random (see `people`). These are those that an analyst should be able to find: in each month of
//! 2026, leads are merged into users.

use rand::RngExt;

use super::conversations::Conversation;
use super::groups::{LEADS_TO_CALL_ID, Segment, VALUE_LEAD};
use super::people::{Contact, End, Role};
use super::{Rng, WorldOptions, between};
use crate::calendar::{DAY, start_of_month};

/// The smallest world with planted merges. In a smaller one, they would change too much.
const SMALLEST: usize = 2_000;
/// The number of draws before a merge is given up.
const DRAWS: usize = 400;

/// Merges members of `Leads to call` and of `value_lead` into users. They are members at the end of the month before, and until the merge.
/// The users are not deleted or merged later, except in chains: there the user is merged into another one two months later.
///
/// Only contacts that do nothing later are merged away. So nothing else changes.
pub(crate) fn plant(rng: &mut Rng, options: &WorldOptions, segments: &[Segment], conversations: &[Conversation], people: &mut [Contact]) {
    if options.contacts < SMALLEST {
        return;
    }
    let mut planting = Planting { rng, options, to_call: segments.iter().find(|segment| segment.id == LEADS_TO_CALL_ID), people };
    let busy_until = busy_until(conversations, planting.people);
    for _ in 0..options.contacts / SMALLEST {
        planting.chain(&busy_until);
    }
    let leads = planting.leads();
    for month in 1..=12 {
        for number in 0..2 + options.contacts / 2_500 {
            let group = if number % 2 == 0 { Group::LeadsToCall } else { Group::ValueLead };
            if let Some((lead, at)) = planting.lead(&leads, &busy_until, group, month)
                && let Some(user) = planting.user(at)
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
    people: &'a mut [Contact],
}

impl Planting<'_> {
    /// The start of a month of 2026.
    fn start(&self, month: i32) -> i64 {
        start_of_month(&self.options.timezone, 2026, month)
    }

    fn merge(&mut self, from: usize, at: i64, into: usize) {
        self.people[from].end = Some((at, End::Merged(into as u32)));
    }

    /// A lead is merged into a user in April, and this user into another one in June.
    fn chain(&mut self, busy_until: &[i64]) {
        let (first, second) = ((self.start(4), self.start(5)), (self.start(6), self.start(7)));
        let (first, second) = (between(self.rng, first.0 + DAY, first.1), between(self.rng, second.0 + DAY, second.1));
        // The oldest contacts are left as they are: one of them has a tag of its own.
        let old = start_of_month(&self.options.timezone, 2024, 1);
        let quiet = |contact: &Contact, index: usize, at: i64| contact.end.is_none() && busy_until[index] < at;
        let lead = self.draw(first, |contact, index| contact.role_at(second) == Role::Lead && quiet(contact, index, first));
        let middle = self.draw(first, |contact, index| {
            contact.created_at > old && contact.role_at(first) == Role::User && quiet(contact, index, second)
        });
        let (Some(lead), Some(middle)) = (lead, middle) else { return };
        self.merge(lead, first, middle);
        if let Some(user) =
            self.draw(first, |contact, index| index != middle && contact.role_at(first) == Role::User && contact.end.is_none())
        {
            self.merge(middle, second, user);
        }
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

    /// A lead to merge in a month, and when.
    fn lead(&mut self, leads: &[usize], busy_until: &[i64], group: Group, month: i32) -> Option<(usize, i64)> {
        let (start, end) = (self.start(month), self.start(month + 1));
        let member = |contact: &Contact, at: i64| match group {
            Group::LeadsToCall => self.to_call.is_some_and(|segment| segment.holds(contact, at)),
            Group::ValueLead => contact.role_at(at) == Role::Lead && contact.has_tag_at(VALUE_LEAD, at),
        };
        let of_group: Vec<usize> = leads
            .iter()
            .copied()
            .filter(|index| {
                self.people[*index].exists_at(start) && self.people[*index].end.is_none() && member(&self.people[*index], start)
            })
            .collect();
        for _ in 0..DRAWS.min(of_group.len() * 4) {
            let (index, at) = (of_group[self.rng.random_range(0..of_group.len())], between(self.rng, start + DAY, end));
            if busy_until[index] < at && member(&self.people[index], at) {
                return Some((index, at));
            }
        }
        None
    }

    /// A user to merge into, who stays.
    fn user(&mut self, at: i64) -> Option<usize> {
        self.draw(at, |contact, _| contact.role_at(at) == Role::User && contact.end.is_none())
    }

    /// Draws a contact that was created before an instant.
    fn draw(&mut self, before: i64, fits: impl Fn(&Contact, usize) -> bool) -> Option<usize> {
        let born = self.people.partition_point(|contact| contact.created_at < before);
        (0..DRAWS.min(born * 4)).map(|_| self.rng.random_range(0..born)).find(|index| fits(&self.people[*index], *index))
    }
}
