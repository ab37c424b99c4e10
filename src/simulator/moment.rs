//! The workspace as it stands at one instant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::world::World;
use super::world::conversations::Conversation;

/// Results of this many different searches are kept for the pages after the first.
const KEPT_SEARCHES: usize = 512;

/// Who exists and who is in which group at an instant, and the searches already answered for it.
pub struct Moment {
    pub world: Arc<World>,
    /// Unix seconds.
    pub now: i64,
    /// Contacts that exist, ascending; an index is also a place in the order of creation.
    pub contacts: Vec<u32>,
    /// Members of each tag, ascending.
    pub tag_members: Vec<Vec<u32>>,
    /// Members of each segment, ascending.
    pub segment_members: Vec<Vec<u32>>,
    /// Contacts younger than this many seconds are not searchable yet.
    pub search_delay: i64,
    begun_conversations: usize,
    found: Mutex<HashMap<String, Arc<[u32]>>>,
}

impl Moment {
    /// Looks at everybody once.
    pub fn new(world: Arc<World>, now: i64) -> Self {
        let mut contacts = Vec::new();
        let mut tag_members = vec![Vec::new(); world.tags.len()];
        let mut segment_members = vec![Vec::new(); world.segments.len()];
        let born = world.contacts.partition_point(|contact| contact.created_at <= now);
        for (contact, index) in world.contacts[..born].iter().zip(0u32..) {
            if !contact.exists_at(now) {
                continue;
            }
            contacts.push(index);
            for spell in contact.tags_at(now) {
                tag_members[usize::from(spell.tag)].push(index);
            }
            for (segment, members) in world.segments.iter().zip(&mut segment_members) {
                if segment.holds(contact, now) {
                    members.push(index);
                }
            }
        }
        let begun_conversations = world.conversations.partition_point(|conversation| conversation.created_at <= now);
        Self { world, now, contacts, tag_members, segment_members, search_delay: 0, begun_conversations, found: Mutex::default() }
    }

    /// The same moment, with contacts that become searchable only some seconds after their creation.
    pub fn with_search_delay(self, search_delay: i64) -> Self {
        Self { search_delay, ..self }
    }

    /// Conversations begun so far, oldest first.
    pub fn conversations(&self) -> &[Conversation] {
        &self.world.conversations[..self.begun_conversations]
    }

    /// A contact that exists, by id.
    pub fn find_contact(&self, id: &str) -> Option<u32> {
        self.world.find_contact(id).filter(|index| self.world.contact(*index).exists_at(self.now))
    }

    /// Members of a tag by its id; nobody when there is no such tag.
    pub fn members_of_tag(&self, id: &str) -> &[u32] {
        let tag = self.world.tags.iter().position(|tag| tag.id == id);
        tag.map_or(&[], |tag| &self.tag_members[tag])
    }

    /// Members of a segment by its id; nobody when there is no such segment.
    pub fn members_of_segment(&self, id: &str) -> &[u32] {
        let segment = self.world.segments.iter().position(|segment| segment.id == id);
        segment.map_or(&[], |segment| &self.segment_members[segment])
    }

    /// The sorted result of a search, worked out once. `name` must tell all that the result depends on.
    pub fn found(&self, name: String, search: impl FnOnce() -> Vec<u32>) -> Arc<[u32]> {
        // The map is whole at every await and panic: each change to it is a single call.
        let kept = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        kept.unwrap_or_else(|| {
            let result: Arc<[u32]> = search().into();
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.len() >= KEPT_SEARCHES {
                found.clear();
            }
            found.insert(name, Arc::clone(&result));
            result
        })
    }
}
