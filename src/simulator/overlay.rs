//! What requests wrote. The world itself never changes. A view shows the world together with an overlay.
//!
//! An overlay is immutable. A write changes a copy, which replaces the original when the write succeeds. So a write is atomic, and a view
//! that is still being read does not change. Copies are cheap, because they share their contacts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::faults::scatter;
use super::world::World;
use super::world::groups::{self, Tag};
use super::world::people::{Contact, TagSpell};

/// What requests wrote. New tags and contacts have numbers after those of the world.
#[derive(Clone, Default)]
pub(crate) struct Overlay {
    /// Tags that were created, renamed or deleted, by number.
    tags: BTreeMap<u16, Arc<WrittenTag>>,
    created: Vec<Arc<Contact>>,
    /// Contacts of the world that were changed, by index.
    edited: HashMap<u32, Arc<Contact>>,
    /// Contacts of the world whose email address or external id a request may have changed.
    readdressed: Vec<u32>,
    /// Tags of companies, by the index of the company.
    company_tags: BTreeMap<u32, Vec<CompanyTag>>,
    /// Tags of conversations that were changed, by the index of the conversation.
    conversation_tags: BTreeMap<u32, Vec<TagSpell>>,
}

/// A tag that was created, renamed or deleted.
#[derive(Clone)]
pub(crate) struct WrittenTag {
    pub tag: Tag,
    /// `None` for tags of the world.
    pub created_at: Option<i64>,
    pub deleted_at: Option<i64>,
}

/// A tag that a company has from an instant on.
#[derive(Clone, Copy)]
pub(crate) struct CompanyTag {
    pub tag: u16,
    pub from: i64,
}

/// A change of the tags of a conversation.
#[derive(Clone, Copy)]
pub(crate) enum ConversationChange {
    Attach {
        tag: u16,
        /// Index into the admins of the world.
        admin: u8,
    },
    Detach {
        tag: u16,
    },
}

impl Overlay {
    /// A contact that requests created or changed, as it is now. `None` for contacts that no request changed.
    pub(crate) fn contact(&self, world: &World, index: u32) -> Option<&Contact> {
        match (index as usize).checked_sub(world.contacts.len()) {
            Some(number) => self.created.get(number).map(Arc::as_ref),
            None => self.edited.get(&index).map(Arc::as_ref),
        }
    }

    /// Contacts that requests created, with their indices.
    pub(crate) fn created<'a>(&'a self, world: &World) -> impl Iterator<Item = (u32, &'a Contact)> + use<'a> {
        let first = world.contacts.len() as u32;
        self.created.iter().zip(first..).map(|(contact, index)| (index, contact.as_ref()))
    }

    /// The contacts of the generated world that a request changed, with their indices.
    pub(crate) fn edited(&self) -> impl Iterator<Item = (u32, &Contact)> {
        self.edited.iter().map(|(index, contact)| (*index, contact.as_ref()))
    }

    /// Contacts of the world whose email address or external id a request may have changed.
    pub(crate) fn readdressed(&self) -> &[u32] {
        &self.readdressed
    }

    /// A contact to write to.
    pub(crate) fn edit(&mut self, world: &World, index: u32) -> &mut Contact {
        let shared = match (index as usize).checked_sub(world.contacts.len()) {
            Some(number) => &mut self.created[number],
            None => self.edited.entry(index).or_insert_with(|| Arc::new(world.contact(index).clone())),
        };
        Arc::make_mut(shared)
    }

    /// A contact whose data will be changed at `now`. A contact of the world is added to `readdressed`, because the change may affect its
    /// email address or external id.
    pub(crate) fn edit_data(&mut self, world: &World, index: u32, now: i64) -> &mut Contact {
        if (index as usize) < world.contacts.len() && !self.readdressed.contains(&index) {
            self.readdressed.push(index);
        }
        let contact = self.edit(world, index);
        contact.written.get_or_insert_default().at = now;
        contact
    }

    /// Creates a contact without data and returns its index. The contact's id begins with the time, like the ids of all contacts.
    pub(crate) fn create_contact(&mut self, world: &World, now: i64) -> u32 {
        let index = (world.contacts.len() + self.created.len()) as u32;
        let suffix = scatter(world.options.seed, u64::from(index), now as u64);
        let id = format!("{:08x}{suffix:016x}", now.clamp(0, i64::from(u32::MAX)));
        self.created.push(Arc::new(Contact::made_by_request(id, now)));
        index
    }

    /// A tag that was created, renamed or deleted.
    pub(crate) fn tag(&self, number: u16) -> Option<&WrittenTag> {
        self.tags.get(&number).map(Arc::as_ref)
    }

    /// The first free tag number. All tags of the world and of requests have lower numbers.
    pub(crate) fn tag_numbers(&self, world: &World) -> u16 {
        let in_world = world.tags.len() as u16;
        self.tags.last_key_value().map_or(in_world, |(last, _)| in_world.max(last + 1))
    }

    /// Creates a tag. `None` when there are no more numbers.
    pub(crate) fn create_tag(&mut self, world: &World, name: String, now: i64) -> Option<u16> {
        let number = self.tag_numbers(world);
        number.checked_add(1)?;
        let tag = groups::empty_tag((17_500_000 + u64::from(number)).to_string(), name);
        self.tags.insert(number, Arc::new(WrittenTag { tag, created_at: Some(now), deleted_at: None }));
        Some(number)
    }

    /// A tag to rename or to delete. `None` if there is no tag with this number.
    pub(crate) fn edit_tag(&mut self, world: &World, number: u16) -> Option<&mut WrittenTag> {
        let shared = match self.tags.entry(number) {
            Entry::Occupied(written) => written.into_mut(),
            Entry::Vacant(vacant) => {
                let tag = world.tags.get(usize::from(number))?.clone();
                vacant.insert(Arc::new(WrittenTag { tag, created_at: None, deleted_at: None }))
            }
        };
        Some(Arc::make_mut(shared))
    }

    /// Adds a tag to a contact or removes it. An added tag replaces later spells of the tag that the world has planned.
    pub(crate) fn tag_contact(&mut self, world: &World, index: u32, tag: u16, tagged: bool, now: i64) {
        let contact = self.edit(world, index);
        let carries = contact.has_tag_at(tag, now);
        if tagged && !carries {
            contact.tags.retain(|spell| spell.tag != tag || spell.from <= now);
            contact.tags.push(TagSpell { tag, from: now, until: i64::MAX, admin: 0 });
        } else if !tagged && carries {
            for spell in contact.tags.iter_mut().filter(|spell| spell.tag == tag && spell.from <= now && now < spell.until) {
                spell.until = now;
            }
        }
    }

    /// All tags of a conversation over time. `None` if no request changed them.
    pub(crate) fn tags_of_conversation(&self, conversation: u32) -> Option<&[TagSpell]> {
        self.conversation_tags.get(&conversation).map(Vec::as_slice)
    }

    /// Adds a tag to a conversation, or removes it. `before` is the tag that the conversation has in the generated
    /// world; it matters for the first change only.
    pub(crate) fn tag_conversation(&mut self, conversation: u32, before: Option<TagSpell>, change: ConversationChange, now: i64) {
        let spells = self.conversation_tags.entry(conversation).or_insert_with(|| before.into_iter().collect());
        match change {
            ConversationChange::Attach { tag, admin } => spells.push(TagSpell { tag, from: now, until: i64::MAX, admin }),
            ConversationChange::Detach { tag } => {
                for spell in spells.iter_mut().filter(|spell| spell.tag == tag && now < spell.until) {
                    spell.until = now;
                }
            }
        }
    }

    /// The tags of a company at an instant.
    pub(crate) fn tags_of_company(&self, company: u32, now: i64) -> impl Iterator<Item = CompanyTag> {
        self.company_tags.get(&company).into_iter().flatten().filter(move |tag| tag.from <= now).copied()
    }

    /// Adds a tag to a company or removes it.
    pub(crate) fn tag_company(&mut self, company: u32, tag: u16, tagged: bool, now: i64) {
        let tags = self.company_tags.entry(company).or_default();
        if !tagged {
            tags.retain(|carried| carried.tag != tag);
        } else if !tags.iter().any(|carried| carried.tag == tag) {
            tags.push(CompanyTag { tag, from: now });
        }
    }
}
