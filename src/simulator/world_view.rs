//! The workspace as it stands at one instant.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::overlay::Overlay;
use super::prepared::Prepared;
use super::world::companies::{Company, CompanySegment};
use super::world::conversations::Conversation;
use super::world::groups::Segment;
use super::world::people::{Contact, Role, TagSpell};
use super::world::{World, companies};

/// The number of search results that are cached, so that the later pages of a search need no new search.
const KEPT_SEARCHES: usize = 512;

/// Which contacts exist at an instant and which groups they are in, and a cache of searches.
pub(crate) struct WorldView {
    pub world: Arc<World>,
    /// What requests wrote so far.
    pub overlay: Arc<Overlay>,
    /// Unix seconds.
    pub now: i64,
    /// The contacts that exist, in the order of their ids, which is the order of creation.
    pub contacts: Arc<[u32]>,
    /// The members of each tag by its number, in the order of their ids.
    pub tag_members: Vec<Arc<[u32]>>,
    /// The members of each segment, in the order of their ids.
    pub segment_members: Vec<Arc<[u32]>>,
    /// Contacts younger than this many seconds are not searchable yet.
    pub search_delay: i64,
    /// Cached responses.
    pub prepared: Prepared,
    base: Arc<BaseLists>,
    begun_conversations: usize,
    found: Mutex<HashMap<String, Arc<[u32]>>>,
    contacts_of_companies: OnceLock<Vec<Vec<u32>>>,
}

/// The lists of the world without what requests wrote.
struct BaseLists {
    contacts: Arc<[u32]>,
    tag_members: Vec<Arc<[u32]>>,
    segment_members: Vec<Arc<[u32]>>,
}

/// A tag that exists.
#[derive(Clone, Copy)]
pub(crate) struct ListedTag<'a> {
    /// The number of the tag in the contacts' spells.
    pub number: u16,
    pub id: &'a str,
    pub name: &'a str,
}

impl WorldView {
    /// Evaluates all contacts of the world at an instant.
    pub(crate) fn new(world: Arc<World>, now: i64) -> Self {
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
        let shared = |lists: Vec<Vec<u32>>| lists.into_iter().map(Arc::from).collect();
        let (tag_members, segment_members) = (shared(tag_members), shared(segment_members));
        let base = Arc::new(BaseLists { contacts: contacts.into(), tag_members, segment_members });
        Self::build(world, base, Arc::default(), now, 0)
    }

    /// The same view, with contacts that become searchable this many seconds after their creation.
    pub(crate) fn with_search_delay(self, search_delay: i64) -> Self {
        Self { search_delay, ..self }
    }

    /// A view at the same instant with another overlay.
    pub(crate) fn with_overlay(&self, overlay: Arc<Overlay>) -> Self {
        Self::build(Arc::clone(&self.world), Arc::clone(&self.base), overlay, self.now, self.search_delay)
    }

    fn build(world: Arc<World>, base: Arc<BaseLists>, overlay: Arc<Overlay>, now: i64, search_delay: i64) -> Self {
        let begun_conversations = world.conversations.partition_point(|conversation| conversation.created_at <= now);
        let mut view = Self {
            contacts: Arc::clone(&base.contacts),
            tag_members: base.tag_members.clone(),
            segment_members: base.segment_members.clone(),
            world,
            overlay,
            now,
            search_delay,
            prepared: Prepared::default(),
            base,
            begun_conversations,
            found: Mutex::default(),
            contacts_of_companies: OnceLock::new(),
        };
        view.apply_overlay();
        view
    }

    /// Updates the lists for the overlay. The cost depends on the size of the overlay, not of the world.
    fn apply_overlay(&mut self) {
        let (world, overlay, now) = (Arc::clone(&self.world), Arc::clone(&self.overlay), self.now);
        let mut tags: BTreeMap<usize, Change> = BTreeMap::new();
        let mut segments: BTreeMap<usize, Change> = BTreeMap::new();
        let mut created = Vec::new();
        let mut compare = |before: Option<&Contact>, after: &Contact, index: u32| {
            let has_tag = |contact: &Contact, tag: u16| contact.has_tag_at(tag, now);
            for tag in before.into_iter().flat_map(|before| before.tags_at(now)).filter(|spell| !has_tag(after, spell.tag)) {
                tags.entry(usize::from(tag.tag)).or_default().removed.insert(index);
            }
            for tag in after.tags_at(now).filter(|spell| !before.is_some_and(|before| has_tag(before, spell.tag))) {
                tags.entry(usize::from(tag.tag)).or_default().added.push(index);
            }
            // A change of tags does not change segments, so only contacts whose data a request wrote are compared.
            for (number, segment) in world.segments.iter().enumerate().filter(|_| after.written.is_some()) {
                match (before.is_some_and(|before| segment.holds(before, now)), segment.holds(after, now)) {
                    (true, false) => _ = segments.entry(number).or_default().removed.insert(index),
                    (false, true) => segments.entry(number).or_default().added.push(index),
                    _ => {}
                }
            }
        };
        for (index, contact) in overlay.created(&world).filter(|(_, contact)| contact.exists_at(now)) {
            compare(None, contact, index);
            created.push(index);
        }
        for (index, contact) in overlay.edited().filter(|(_, contact)| contact.exists_at(now)) {
            compare(Some(world.contact(index)), contact, index);
        }
        self.contacts = self.changed(&self.contacts, Change { added: created, removed: HashSet::new() });
        self.tag_members.resize(usize::from(overlay.tag_numbers(&world)), Arc::default());
        for (number, change) in tags {
            self.tag_members[number] = self.changed(&self.tag_members[number], change);
        }
        for (number, change) in segments {
            self.segment_members[number] = self.changed(&self.segment_members[number], change);
        }
        for number in 0..overlay.tag_numbers(&world) {
            if self.tag(number).is_none() {
                self.tag_members[usize::from(number)] = Arc::default();
            }
        }
    }

    fn changed(&self, list: &Arc<[u32]>, change: Change) -> Arc<[u32]> {
        if change.added.is_empty() && change.removed.is_empty() {
            return Arc::clone(list);
        }
        let mut changed: Vec<u32> = list.iter().copied().filter(|index| !change.removed.contains(index)).chain(change.added).collect();
        changed.sort_by(|one, other| self.order(*one, *other));
        changed.into()
    }

    /// Compares two contacts by id.
    pub(crate) fn order(&self, one: u32, other: u32) -> Ordering {
        let in_world = |index: u32| (index as usize) < self.world.contacts.len();
        if in_world(one) && in_world(other) { one.cmp(&other) } else { self.contact(one).id.cmp(&self.contact(other).id) }
    }

    /// The conversations so far, oldest first.
    pub(crate) fn conversations(&self) -> &[Conversation] {
        &self.world.conversations[..self.begun_conversations]
    }

    /// A contact as it is now, by its index in this view or its world.
    pub(crate) fn contact(&self, index: u32) -> &Contact {
        self.overlay.contact(&self.world, index).unwrap_or_else(|| self.world.contact(index))
    }

    /// A contact that exists, by id.
    pub(crate) fn find_contact(&self, id: &str) -> Option<u32> {
        let created = || self.overlay.created(&self.world).find(|(_, contact)| contact.id == id).map(|(index, _)| index);
        self.world.find_contact(id).or_else(created).filter(|index| self.contact(*index).exists_at(self.now))
    }

    /// The contacts that exist and pass the test, each once, sorted by id. Only `of_world`, contacts that requests created, and contacts
    /// whose email address or external id a request may have changed are tested.
    fn select(&self, of_world: &[u32], passes: impl Fn(&Contact) -> bool) -> Vec<u32> {
        let rewritten = self.overlay.readdressed().iter().copied();
        let created = self.overlay.created(&self.world).map(|(index, _)| index);
        let candidates = of_world.iter().copied().chain(rewritten).chain(created);
        let mut selected: Vec<u32> = candidates.filter(|index| self.exists(*index) && passes(self.contact(*index))).collect();
        selected.sort_by(|one, other| self.order(*one, *other));
        selected.dedup();
        selected
    }

    fn exists(&self, index: u32) -> bool {
        self.contact(index).exists_at(self.now)
    }

    /// The user with an external id, which 1.x calls user id.
    pub(crate) fn find_user(&self, external_id: &str) -> Option<u32> {
        let wanted = Some(external_id);
        self.select(self.world.with_external_id(external_id), |contact| contact.external_id_at(self.now) == wanted).first().copied()
    }

    /// All contacts of a role with an email address. Case does not matter (an assumption).
    pub(crate) fn with_email(&self, email: &str, role: Role) -> Vec<u32> {
        let email = email.to_lowercase();
        if email.is_empty() {
            return Vec::new();
        }
        self.select(self.world.with_email(&email), |contact| {
            contact.role_at(self.now) == role && contact.email.as_ref().is_some_and(|own| own.to_lowercase() == email)
        })
    }

    /// An existing tag by its number.
    pub(crate) fn tag(&self, number: u16) -> Option<ListedTag<'_>> {
        let tag = match self.overlay.tag(number) {
            Some(written) => {
                let made = written.created_at.is_none_or(|at| at <= self.now);
                let deleted = written.deleted_at.is_some_and(|at| at <= self.now);
                Some(&written.tag).filter(|_| made && !deleted)
            }
            None => self.world.tags.get(usize::from(number)),
        };
        tag.map(|tag| ListedTag { number, id: &tag.id, name: &tag.name })
    }

    /// All existing tags.
    pub(crate) fn tags(&self) -> impl Iterator<Item = ListedTag<'_>> {
        (0..self.overlay.tag_numbers(&self.world)).filter_map(|number| self.tag(number))
    }

    /// An existing tag by its id.
    pub(crate) fn find_tag(&self, id: &str) -> Option<ListedTag<'_>> {
        self.tags().find(|tag| tag.id == id)
    }

    /// The existing tags that a contact has.
    pub(crate) fn tags_of(&self, index: u32) -> impl Iterator<Item = (ListedTag<'_>, &TagSpell)> {
        self.contact(index).tags_at(self.now).filter_map(|spell| Some((self.tag(spell.tag)?, spell)))
    }

    /// A conversation that was opened, by id.
    pub(crate) fn find_conversation(&self, id: &str) -> Option<u32> {
        let wanted: u64 = id.parse().ok()?;
        self.conversations().binary_search_by_key(&wanted, |conversation| conversation.id).ok().map(|index| index as u32)
    }

    /// The existing tags that a conversation has, and since when. A tag of the world is shown from the start, although its time is a minute
    /// later.
    pub(crate) fn tags_of_conversation(&self, index: u32) -> Vec<(ListedTag<'_>, TagSpell)> {
        let spells = match self.overlay.tags_of_conversation(index) {
            Some(written) => written.iter().filter(|spell| spell.from <= self.now && self.now < spell.until).cloned().collect(),
            None => self.world.conversations.get(index as usize).and_then(Conversation::tag_spell).into_iter().collect::<Vec<_>>(),
        };
        spells.into_iter().filter_map(|spell| Some((self.tag(spell.tag)?, spell))).collect()
    }

    /// The existing tags that a company has, and since when.
    pub(crate) fn tags_of_company(&self, company: u32) -> impl Iterator<Item = (ListedTag<'_>, i64)> {
        self.overlay.tags_of_company(company, self.now).filter_map(|carried| Some((self.tag(carried.tag)?, carried.from)))
    }

    /// The segments that exist, with their members.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (&Segment, &[u32])> {
        let all = self.world.segments.iter().zip(&self.segment_members);
        all.filter(|(segment, _)| segment.exists_at(self.now)).map(|(segment, members)| (segment, members.borrow()))
    }

    /// The segments that a contact is in.
    pub(crate) fn segments_of(&self, index: u32) -> impl Iterator<Item = &Segment> {
        let contact = self.contact(index);
        self.world.segments.iter().filter(move |segment| segment.holds(contact, self.now))
    }

    /// Companies that exist, with their indices, oldest first.
    pub(crate) fn companies(&self) -> impl Iterator<Item = (u32, &Company)> {
        self.world
            .companies
            .iter()
            .zip(0u32..)
            .filter(|(company, _)| company.created_at <= self.now)
            .map(|(company, index)| (index, company))
    }

    /// The segments that a company is in.
    pub(crate) fn segments_of_company(&self, index: u32) -> impl Iterator<Item = &'static CompanySegment> {
        let company = &self.world.companies[index as usize];
        companies::SEGMENTS
            .iter()
            .filter(move |segment| segment.holds(company, |id| self.tags_of_company(index).any(|(tag, _)| tag.id == id)))
    }

    /// The contacts of a company, sorted by id. The first call computes them for all companies.
    pub(crate) fn contacts_of_company(&self, company: u32) -> &[u32] {
        let all = self.contacts_of_companies.get_or_init(|| {
            let mut all = vec![Vec::new(); self.world.companies.len()];
            for index in self.contacts.iter() {
                for company in &self.contact(*index).companies {
                    all[*company as usize].push(*index);
                }
            }
            all
        });
        all.get(company as usize).map_or(&[], Vec::as_slice)
    }

    /// The members of a tag by its id. There are none when no tag has this id.
    pub(crate) fn members_of_tag(&self, id: &str) -> &[u32] {
        self.find_tag(id).map_or(&[], |tag| self.tag_members[usize::from(tag.number)].borrow())
    }

    /// The members of a segment by its id. There are none when no segment has this id, or the segment was deleted (an assumption).
    pub(crate) fn members_of_segment(&self, id: &str) -> &[u32] {
        self.segments().find(|(segment, _)| segment.id == id).map_or(&[], |(_, members)| members)
    }

    /// The sorted result of a search, which is cached. `name` must contain everything that the result depends on.
    pub(crate) fn found(&self, name: String, search: impl FnOnce() -> Vec<u32>) -> Arc<[u32]> {
        // The map is valid after a panic: each change to it is a single call.
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

/// Additions to and removals from a list.
#[derive(Default)]
struct Change {
    added: Vec<u32>,
    removed: HashSet<u32>,
}
