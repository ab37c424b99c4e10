//! Conversations. In a month, most contacts have none, some have one or two, and a few have more than ten.
//!
//! What an analyst should be able to find: contacts open far more conversations while they have the tag `value_lead`, and there was an
//! outage in 2026-09.

use rand::RngExt;

use super::groups::VALUE_LEAD;
use super::people::{Contact, Role, TagSpell};
use super::{ADMINS, BOT_ID, Rng, WORKSPACE_CREATED_AT, WORLD_END, World, between, exponential};
use crate::calendar::{DAY, MONTH, Zone, start_of_month};

/// Who opened the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starter {
    Contact,
    /// Index into [`ADMINS`].
    Admin(u8),
    Bot,
}

/// One conversation.
pub(crate) struct Conversation {
    /// The id is written in decimal. Later conversations have greater ids.
    pub id: u64,
    pub created_at: i64,
    /// Index into the world's contacts.
    pub contact: u32,
    /// The index of a second participant, in a few conversations.
    pub other: Option<u32>,
    pub starter: Starter,
    /// Whether the conversation was opened by e-mail, not in the messenger.
    pub by_email: bool,
    pub closed_at: i64,
    /// Index into [`ADMINS`].
    pub assignee: Option<u8>,
    /// 0 to 4: none, low, medium, high, urgent.
    pub priority: u8,
    /// Index into the world's tags.
    tag: Option<u16>,
}

/// The author of a conversation's first message.
pub(crate) struct Author {
    /// `user`, `lead`, `admin` or `bot`. In this field 2.x distinguishes users and leads too, as 1.x does.
    pub kind: &'static str,
    pub id: String,
    pub name: Option<String>,
    /// `""` when there is no email address, as on the real service.
    pub email: String,
}

impl Conversation {
    /// The author of the first message, with the role at that time.
    pub(crate) fn author(&self, world: &World) -> Author {
        match self.starter {
            Starter::Contact => {
                let contact = world.contact(self.contact);
                let (name, email) = (contact.name.clone(), contact.email.clone().unwrap_or_default());
                Author { kind: contact.role_at(self.created_at).word(), id: contact.id.clone(), name, email }
            }
            Starter::Admin(admin) => {
                let (id, name, email) = ADMINS[usize::from(admin)];
                Author { kind: "admin", id: id.to_string(), name: Some(name.to_owned()), email: email.to_owned() }
            }
            Starter::Bot => {
                Author { kind: "bot", id: BOT_ID.to_string(), name: Some("Helper".to_owned()), email: "bot@workspace.example".to_owned() }
            }
        }
    }

    /// The tag that the first admin added a minute after the conversation was opened, in some conversations.
    pub(crate) fn tag_spell(&self) -> Option<TagSpell> {
        self.tag.map(|tag| TagSpell { tag, from: self.created_at + 60, until: i64::MAX, admin: 0 })
    }

    /// The participants, as indices of contacts.
    pub(crate) fn participants(&self) -> impl Iterator<Item = u32> {
        [self.contact].into_iter().chain(self.other)
    }

    /// How the first message was delivered.
    pub(crate) fn delivered_as(&self) -> &'static str {
        match self.starter {
            Starter::Contact => "customer_initiated",
            Starter::Admin(_) => "admin_initiated",
            Starter::Bot => "automated",
        }
    }

    /// The channel of the first message.
    pub(crate) fn source_type(&self) -> &'static str {
        if self.by_email { "email" } else { "conversation" }
    }

    /// `open` or `closed`, with a few `snoozed`.
    pub(crate) fn state_at(&self, now: i64) -> &'static str {
        match (self.open_at(now), self.id % 11) {
            (false, _) => "closed",
            (true, 0) => "snoozed",
            (true, _) => "open",
        }
    }

    /// Whether it is still open.
    pub(crate) fn open_at(&self, now: i64) -> bool {
        now < self.closed_at
    }

    /// The time of the latest change: the creation, the first answer or the closing.
    pub(crate) fn updated_at(&self, now: i64) -> i64 {
        let answered = self.created_at + (self.closed_at - self.created_at) / 3;
        [self.closed_at, answered].into_iter().find(|at| *at <= now).unwrap_or(self.created_at)
    }
}

/// All conversations, by creation.
pub(crate) fn invent(rng: &mut Rng, zone: &Zone, contacts: &[Contact]) -> Vec<Conversation> {
    let mut opened: Vec<(i64, u32)> = Vec::new();
    for (contact, number) in contacts.iter().zip(0u32..) {
        let mean_gap = mean_gap(rng);
        let end = contact.gone_at().unwrap_or(WORLD_END);
        for visits in &contact.visits {
            let mut at = visits.from + exponential(rng, mean_gap);
            while at < visits.until.min(end) {
                // The gaps are those of a contact with `value_lead`. For other contacts, three of four conversations are dropped.
                if contact.has_tag_at(VALUE_LEAD, at) || rng.random_bool(0.25) {
                    opened.push((at, number));
                }
                at += exponential(rng, mean_gap);
            }
        }
    }
    month_edges(rng, zone, contacts, &mut opened);
    outage(rng, zone, contacts, &mut opened);
    opened.sort_unstable();
    opened.into_iter().zip(0u64..).map(|((at, contact), number)| conversation(rng, number, at, contact, contacts)).collect()
}

/// The mean time in seconds between two conversations of a visiting contact with `value_lead`. It has a Pareto tail: more than four months
/// for half of the contacts, a few days for some. For six in a thousand contacts, it is one or two days.
fn mean_gap(rng: &mut Rng) -> i64 {
    let rarity: f64 = rng.random_range(0.0002..1.0);
    let per_month = if rng.random_bool(0.006) { rng.random_range(15.0..40.0) } else { (0.15 / rarity.powf(0.62)).min(12.0) };
    (MONTH as f64 / per_month) as i64
}

/// Adds up to two conversations in the first second and up to two in the last second of every local month.
fn month_edges(rng: &mut Rng, zone: &Zone, contacts: &[Contact], opened: &mut Vec<(i64, u32)>) {
    for month in 2..=60 {
        let start = start_of_month(zone, 2023, month);
        for at in [start - 1, start].into_iter().filter(|at| *at > WORKSPACE_CREATED_AT) {
            for _ in 0..2 {
                let there = (0..50)
                    .map(|_| rng.random_range(0..contacts.len().max(1)))
                    .find(|index| contacts.get(*index).is_some_and(|contact| contact.exists_at(at)));
                opened.extend(there.map(|index| (at, index as u32)));
            }
        }
    }
}

/// The outage of 2026-09-15, from nine o'clock. Until the next evening, two in five of the visiting users open one or two conversations.
fn outage(rng: &mut Rng, zone: &Zone, contacts: &[Contact], opened: &mut Vec<(i64, u32)>) {
    let at = start_of_month(zone, 2026, 9) + 14 * DAY + 9 * 3_600;
    for (contact, number) in contacts.iter().zip(0u32..) {
        let visits = contact.visits.iter().any(|visits| visits.from <= at && at < visits.until);
        let is_user = contact.role_at(at) == Role::User;
        if visits && is_user && contact.exists_at(at) && rng.random_bool(0.4) {
            let end = (at + 36 * 3_600).min(contact.gone_at().unwrap_or(WORLD_END));
            for _ in 0..rng.random_range(1..3) {
                opened.push((between(rng, at, end), number));
            }
        }
    }
}

fn conversation(rng: &mut Rng, number: u64, created_at: i64, contact: u32, contacts: &[Contact]) -> Conversation {
    let starter = match rng.random_range(0..100) {
        0..78 => Starter::Contact,
        78..91 => Starter::Admin(rng.random_range(0..ADMINS.len() as u8)),
        _ => Starter::Bot,
    };
    let other = rng.random_bool(0.01).then(|| rng.random_range(0..contacts.len() as u32));
    Conversation {
        // Ids have gaps, since other objects use them too.
        id: 215_000_000_000_000 + number * 7,
        created_at,
        contact,
        other: other.filter(|other| *other != contact && contacts[*other as usize].exists_at(created_at)),
        starter,
        by_email: rng.random_bool(0.2),
        closed_at: created_at + 600 + exponential(rng, 2 * DAY),
        assignee: (!rng.random_bool(0.2)).then(|| rng.random_range(0..ADMINS.len() as u8)),
        priority: if rng.random_bool(0.1) { rng.random_range(1..5) } else { 0 },
        tag: rng.random_bool(0.1).then(|| rng.random_range(9..15)),
    }
}
