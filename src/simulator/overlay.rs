//! What requests wrote, laid over a world that never changes.
//!
//! An overlay is a value: a write works on a copy, which takes the original's place when all went well. So a request is done wholly or not at all,
//! and a moment that somebody still reads stays as it is. Copies are cheap: contacts in it are shared.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::faults::scatter;
use super::world::World;
use super::world::groups::{self, Tag};
use super::world::people::{Contact, TagSpell};

/// What requests wrote. Tags and contacts that were made carry numbers after those of the world.
#[derive(Clone, Default)]
pub(crate) struct Overlay {
    /// Tags that were made, renamed or deleted, by number.
    tags: BTreeMap<u16, Arc<WrittenTag>>,
    created: Vec<Arc<Contact>>,
    /// Contacts of the world that were written to, whole, by index.
    edited: HashMap<u32, Arc<Contact>>,
    /// Those among them whose address or external id may differ from the world's.
    readdressed: Vec<u32>,
    /// Tags of companies, by the index of the company.
    company_tags: BTreeMap<u32, Vec<CompanyTag>>,
}

/// A tag that was made, renamed or deleted.
#[derive(Clone)]
pub(crate) struct WrittenTag {
    pub tag: Tag,
    /// Nothing for tags of the world.
    pub created_at: Option<i64>,
    pub deleted_at: Option<i64>,
}

/// A tag that a company carries from an instant on.
#[derive(Clone, Copy)]
pub(crate) struct CompanyTag {
    pub tag: u16,
    pub from: i64,
}

impl Overlay {
    /// A contact as it was written; nothing for contacts that no request touched.
    pub(crate) fn contact(&self, world: &World, index: u32) -> Option<&Contact> {
        match (index as usize).checked_sub(world.contacts.len()) {
            Some(place) => self.created.get(place).map(Arc::as_ref),
            None => self.edited.get(&index).map(Arc::as_ref),
        }
    }

    /// Contacts that requests made, with their indices.
    pub(crate) fn created<'a>(&'a self, world: &World) -> impl Iterator<Item = (u32, &'a Contact)> + use<'a> {
        let first = world.contacts.len() as u32;
        self.created.iter().zip(first..).map(|(contact, index)| (index, contact.as_ref()))
    }

    /// Contacts of the world that requests wrote to, with their indices.
    pub(crate) fn edited(&self) -> impl Iterator<Item = (u32, &Contact)> {
        self.edited.iter().map(|(index, contact)| (*index, contact.as_ref()))
    }

    /// Contacts of the world whose address or external id may differ from the world's.
    pub(crate) fn readdressed(&self) -> &[u32] {
        &self.readdressed
    }

    /// A contact to write to.
    pub(crate) fn edit(&mut self, world: &World, index: u32) -> &mut Contact {
        let shared = match (index as usize).checked_sub(world.contacts.len()) {
            Some(place) => &mut self.created[place],
            None => self.edited.entry(index).or_insert_with(|| Arc::new(world.contact(index).clone())),
        };
        Arc::make_mut(shared)
    }

    /// A contact whose own data are about to be written, and the notes about that.
    pub(crate) fn edit_data(&mut self, world: &World, index: u32, now: i64) -> &mut Contact {
        if (index as usize) < world.contacts.len() && !self.readdressed.contains(&index) {
            self.readdressed.push(index);
        }
        let contact = self.edit(world, index);
        contact.written.get_or_insert_default().at = now;
        contact
    }

    /// Makes a contact without any data and returns its index. The id begins with the time, as all ids do.
    pub(crate) fn create_contact(&mut self, world: &World, now: i64) -> u32 {
        let index = (world.contacts.len() + self.created.len()) as u32;
        let suffix = scatter(world.options.seed, u64::from(index), now as u64);
        let id = format!("{:08x}{suffix:016x}", now.clamp(0, i64::from(u32::MAX)));
        self.created.push(Arc::new(Contact::made_by_request(id, now)));
        index
    }

    /// A tag that was made, renamed or deleted.
    pub(crate) fn tag(&self, number: u16) -> Option<&WrittenTag> {
        self.tags.get(&number).map(Arc::as_ref)
    }

    /// How many tags there are numbers for, together with the world's.
    pub(crate) fn tag_numbers(&self, world: &World) -> u16 {
        let in_world = world.tags.len() as u16;
        self.tags.last_key_value().map_or(in_world, |(last, _)| in_world.max(last + 1))
    }

    /// Makes a tag; nothing when there are too many for their numbers.
    pub(crate) fn create_tag(&mut self, world: &World, name: String, now: i64) -> Option<u16> {
        let number = self.tag_numbers(world);
        number.checked_add(1)?;
        let tag = groups::empty_tag((17_500_000 + u64::from(number)).to_string(), name);
        self.tags.insert(number, Arc::new(WrittenTag { tag, created_at: Some(now), deleted_at: None }));
        Some(number)
    }

    /// A tag to rename or to delete.
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

    /// Gives a contact a tag or takes it away. What the world has in store for this tag and contact later on gives way to a tag that is given.
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

    /// Tags of a company at an instant.
    pub(crate) fn tags_of_company(&self, company: u32, now: i64) -> impl Iterator<Item = CompanyTag> {
        self.company_tags.get(&company).into_iter().flatten().filter(move |tag| tag.from <= now).copied()
    }

    /// Gives a company a tag or takes it away.
    pub(crate) fn tag_company(&mut self, company: u32, tag: u16, tagged: bool, now: i64) {
        let tags = self.company_tags.entry(company).or_default();
        if !tagged {
            tags.retain(|carried| carried.tag != tag);
        } else if !tags.iter().any(|carried| carried.tag == tag) {
            tags.push(CompanyTag { tag, from: now });
        }
    }
}
