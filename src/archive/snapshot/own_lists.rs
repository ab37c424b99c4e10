//! What contacts say of themselves as a witness for what a search gave: a search's total comes from the same index as its
//! rows, and agrees with them also while the index is behind. The tags (and, in 1.x, the segments) that each contact lists
//! come with the contact.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::chunks::{Spooled, Updated};
use super::tag_dates::{TagDates, tags_of};
use super::tally::each;
use super::{Part, SnapshotError, untold};
use domain::{Contact, ContactId, Group};

/// A group that was searched for, and what came.
#[derive(Clone, Debug)]
pub struct Searched {
    pub group: Group,
    pub part: Part,
}

/// How the own lists of everyone's contacts compare with what a search gave of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Contacts whose own list names the group.
    pub holders: u64,
    /// Those of them that the search did not give.
    pub missing: u64,
    /// Contacts that the search gave although their own list lacks the group, is complete, and is of a record that is no
    /// older than the one that the search gave.
    pub unconfirmed: u64,
    /// Contacts whose list was cut short before it named the group, and who were not asked: nobody knows.
    pub unknown: u64,
    /// Those of them that the search did not give.
    pub unknown_missing: u64,
}

impl Comparison {
    /// Contacts in which the two differ for certain.
    pub fn differing(&self) -> u64 {
        self.missing + self.unconfirmed
    }
}

/// Compares what was searched for with the own lists of everyone, which must have been kept for these groups. `answers` is
/// the folder with what contacts were asked about their tags, if any were. Blocks.
pub fn compare(everyone: &Part, searched: &[Searched], answers: &Path) -> Result<Vec<Comparison>, SnapshotError> {
    let asked = Asked::read(everyone, answers)?;
    let mut groups: Vec<Members> = searched.iter().map(Members::read).collect::<Result<_, _>>()?;
    let by_key: HashMap<String, usize> = searched.iter().enumerate().map(|(index, one)| (one.group.key(), index)).collect();
    // The rows of a contact follow one another, the one that says that its list was cut short last.
    let mut contact = String::new();
    let mut listed: Vec<usize> = Vec::new();
    each(everyone, &mut |id, key| {
        if id != contact {
            contact.clear();
            contact.push_str(id);
            listed.clear();
        }
        match key.map(|key| by_key.get(key)) {
            Some(Some(&group)) => {
                listed.push(group);
                groups[group].is_listed(id);
            }
            Some(None) => {}
            None => {
                for (index, group) in groups.iter_mut().enumerate().filter(|(index, _)| !listed.contains(index)) {
                    match asked.holds(id, &searched[index].group.id) {
                        Some(true) => group.is_listed(id),
                        Some(false) => {}
                        None => group.may_be_listed(id),
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut doubted: HashMap<ContactId, Option<Updated>> = HashMap::new();
    for (id, _) in groups.iter().flat_map(Members::unlisted) {
        doubted.insert(id.clone(), None);
    }
    if !doubted.is_empty() {
        for chunk in everyone.chunks::<Contact>() {
            Contact::each(&chunk, &mut |id, updated| {
                if let Some(newest) = doubted.get_mut(&ContactId::of(id)) {
                    *newest = (*newest).max(Some(updated));
                }
            })?;
        }
    }
    Ok(groups.iter().map(|group| group.comparison(&doubted)).collect())
}

/// The members that a search gave, and what own lists say of them.
struct Members {
    /// Sorted by id, each once.
    ids: Vec<(ContactId, Updated)>,
    /// Whether the own list names the group, or may name it among those that were cut off.
    is_settled: Vec<bool>,
    counts: Comparison,
}

impl Members {
    fn read(searched: &Searched) -> Result<Members, SnapshotError> {
        let mut ids = Vec::new();
        for chunk in searched.part.chunks::<Contact>() {
            Contact::each(&chunk, &mut |id, updated| ids.push((ContactId::of(id), updated)))?;
        }
        // Of a row that came again the newest record counts.
        ids.sort_unstable_by(|(one, updated), (other, later)| one.cmp(other).then(later.cmp(updated)));
        ids.dedup_by(|(other, _), (one, _)| one == other);
        Ok(Members { is_settled: vec![false; ids.len()], ids, counts: Comparison::default() })
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.ids.binary_search_by(|(one, _)| one.cmp(&ContactId::of(id))).ok()
    }

    fn is_listed(&mut self, id: &str) {
        self.counts.holders += 1;
        match self.place(id) {
            Some(place) => self.is_settled[place] = true,
            None => self.counts.missing += 1,
        }
    }

    fn may_be_listed(&mut self, id: &str) {
        self.counts.unknown += 1;
        match self.place(id) {
            Some(place) => self.is_settled[place] = true,
            None => self.counts.unknown_missing += 1,
        }
    }

    /// Members whose own list does not name the group, or who are not among everyone.
    fn unlisted(&self) -> impl Iterator<Item = &(ContactId, Updated)> {
        self.ids.iter().zip(&self.is_settled).filter(|(_, is_settled)| !**is_settled).map(|(member, _)| member)
    }

    /// `everyone`: when the record of an unlisted member was last changed, of those who are among everyone.
    fn comparison(&self, everyone: &HashMap<ContactId, Option<Updated>>) -> Comparison {
        let is_as_new =
            |(id, updated): &&(ContactId, Updated)| everyone.get(id).copied().flatten().is_some_and(|newest| newest >= *updated);
        Comparison { unconfirmed: self.unlisted().filter(is_as_new).count() as u64, ..self.counts }
    }
}

/// What contacts whose lists were cut short were asked.
struct Asked {
    answers: Option<TagDates>,
    tags: BTreeSet<(String, String)>,
}

impl Asked {
    fn read(everyone: &Part, folder: &Path) -> Result<Asked, SnapshotError> {
        if !folder.exists() {
            return Ok(Asked { answers: None, tags: BTreeSet::new() });
        }
        // Of whom an answer cannot be read any more, nobody knows.
        let answers = TagDates::open(folder.to_path_buf())?;
        Ok(Asked { tags: tags_of(folder, &untold(everyone)?)?, answers: Some(answers) })
    }

    fn holds(&self, contact: &str, tag: &str) -> Option<bool> {
        self.answers.as_ref()?.knows(contact).then(|| self.tags.contains(&(contact.to_string(), tag.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::snapshot::{Others, Spool};
    use domain::{GroupKind, OwnTags, Role, TagDate};

    fn contact(id: &str, updated: i64, tags: &[&str], is_complete: bool) -> Contact {
        let tags = OwnTags { ids: tags.iter().map(|tag| (*tag).into()).collect(), is_complete };
        Contact { updated_at: DateTime::from_timestamp(updated, 0), tags: Some(tags), ..Contact::unknown(id.to_string(), Role::User) }
    }

    fn spooled(folder: &Path, contacts: Vec<Contact>) -> Part {
        let mut spool = Spool::create(folder.to_path_buf(), Others::default(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
        spool.push(contacts);
        spool.record().is_complete = true;
        Part::whole(folder.to_path_buf(), spool.finish().unwrap())
    }

    #[test]
    fn own_lists_are_held_against_what_a_search_gave() {
        let place = tempfile::tempdir().unwrap();
        let everyone = spooled(
            &place.path().join("population"),
            vec![
                contact("agrees", 1, &["vip"], true),
                contact("missing", 1, &["vip"], true),
                contact("missing-too", 1, &["vip", "other"], false),
                contact("unconfirmed", 5, &[], true),
                contact("tagged-since", 1, &[], true),
                contact("cut-and-given", 1, &["other"], false),
                contact("cut-and-not-given", 1, &["other"], false),
                contact("asked-and-holds", 1, &["other"], false),
                contact("asked-and-does-not", 1, &["other"], false),
            ],
        );
        let given =
            ["agrees", "unconfirmed", "cut-and-given", "not-among-everyone", "asked-and-does-not"].map(|id| contact(id, 5, &[], true));
        let part = spooled(&place.path().join("tag-vip"), [given.to_vec(), vec![contact("tagged-since", 9, &["vip"], true)]].concat());
        let vip = Group { kind: GroupKind::Tag, id: "vip".to_string(), name: "VIP".to_string() };
        let nobody = Group { id: "nobody".to_string(), ..vip.clone() };
        let empty = spooled(&place.path().join("tag-nobody"), Vec::new());
        let searched = [Searched { group: vip, part }, Searched { group: nobody, part: empty }];

        let answers = place.path().join("answers");
        let compared = |answers: &Path| compare(&everyone, &searched, answers).unwrap();
        // Of `asked-and-does-not` the search has a newer record, and everyone's is cut short.
        assert_eq!(compared(&answers)[0], Comparison { holders: 3, missing: 2, unconfirmed: 1, unknown: 4, unknown_missing: 2 });
        assert!(!answers.exists());
        let mut dates = TagDates::open(answers.clone()).unwrap();
        dates.push("asked-and-holds".to_string(), vec![TagDate { tag_id: "vip".to_string(), applied_at: None }]).unwrap();
        dates.push("asked-and-does-not".to_string(), vec![TagDate { tag_id: "other".to_string(), applied_at: None }]).unwrap();
        dates.push("cut-and-not-given".to_string(), Vec::new()).unwrap();
        dates.flush().unwrap();
        assert_eq!(compared(&answers)[0], Comparison { holders: 4, missing: 3, unconfirmed: 1, unknown: 1, unknown_missing: 0 });
        // Everyone's record is the older one, so what it lacks may have been added since: no contradiction.
        assert_eq!(compared(&answers)[1], Comparison { holders: 0, missing: 0, unconfirmed: 0, unknown: 2, unknown_missing: 2 });
    }
}
