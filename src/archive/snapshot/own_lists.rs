//! Compares the members that a search gave with the contacts' own lists. The total of a search cannot show that rows are missing: total and
//! rows come from the same index, and that index may be behind. The contact's own list of tags (on 1.x also of segments) comes with the
//! contact's record, so it shows members that the search did not give.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::answers::Answers;
use super::chunks::{Spooled, Updated};
use super::derive::each_tag;
use super::tag_dates::tags_of;
use super::{SnapshotError, SpooledStream};
use domain::{Contact, ContactId, Group, TagDate};

/// A group whose members were searched for, and the stream that the search gave.
#[derive(Clone, Debug)]
pub struct Searched {
    pub group: Group,
    pub part: SpooledStream,
}

/// How the contacts' own lists compare with the members of a group that a search gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The number of contacts whose own list names the group, or whose answer does.
    pub holders: u64,
    /// The number of holders that the search did not give.
    pub missing: u64,
    /// The number of contacts that the search gave, but whose own list does not name the group. A contact counts only if its list is
    /// complete or an answer completes it, and if its record in the stream of everyone is at least as new as the record that the search
    /// gave.
    pub unconfirmed: u64,
    /// The number of contacts whose truncated list does not name the group and for which there is no answer. It is unknown whether they are
    /// members.
    pub unknown: u64,
    /// The number of unknown contacts that the search did not give.
    pub unknown_missing: u64,
}

impl Comparison {
    /// The number of contacts for which the search and the own list certainly differ.
    pub fn differing(&self) -> u64 {
        self.missing + self.unconfirmed
    }
}

/// Compares searched groups with the own lists in the stream of everyone. The record of that stream must name these groups in
/// `own_lists_of`. `answers` is the folder with the tags of contacts that were asked for one by one. If the folder exists, `truncated` must
/// be the contacts with truncated lists in the stream of everyone. Blocks.
pub fn compare(
    everyone: &SpooledStream,
    searched: &[Searched],
    truncated: &BTreeSet<String>,
    answers: &Path,
) -> Result<Vec<Comparison>, SnapshotError> {
    let asked = Asked::read(truncated, answers)?;
    let mut groups: Vec<Members> = searched.iter().map(Members::read).collect::<Result<_, _>>()?;
    let by_key: HashMap<String, usize> = searched.iter().enumerate().map(|(index, one)| (one.group.key(), index)).collect();
    // The rows of a contact are adjacent. The row that marks a truncated list is the last one.
    let mut contact = String::new();
    let mut listed: Vec<usize> = Vec::new();
    each_tag(everyone, &mut |id, key| {
        if id != contact {
            contact.clear();
            contact.push_str(id);
            listed.clear();
        }
        match key.map(|key| by_key.get(key)) {
            Some(Some(&group)) => {
                listed.push(group);
                groups[group].count_listed(id);
            }
            Some(None) => {}
            None => {
                for (index, group) in groups.iter_mut().enumerate().filter(|(index, _)| !listed.contains(index)) {
                    match asked.holds(id, &searched[index].group.id) {
                        Some(true) => group.count_listed(id),
                        Some(false) => {}
                        None => group.count_unknown(id),
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut unlisted: HashMap<ContactId, Option<Updated>> = HashMap::new();
    for (id, _) in groups.iter().flat_map(Members::unlisted) {
        unlisted.insert(id.clone(), None);
    }
    if !unlisted.is_empty() {
        for chunk in everyone.chunks::<Contact>() {
            Contact::each(&chunk, &mut |id, updated| {
                if let Some(newest) = unlisted.get_mut(&ContactId::of(id)) {
                    *newest = (*newest).max(Some(updated));
                }
            })?;
        }
    }
    Ok(groups.iter().map(|group| group.comparison(&unlisted)).collect())
}

/// The members that a search gave, compared with own lists.
struct Members {
    /// The members, each once, sorted by ID.
    ids: Vec<(ContactId, Updated)>,
    /// For each member: whether its own list names the group, or is truncated and may have named the group.
    may_be_listed: Vec<bool>,
    counts: Comparison,
}

impl Members {
    fn read(searched: &Searched) -> Result<Members, SnapshotError> {
        let mut ids = Vec::new();
        for chunk in searched.part.chunks::<Contact>() {
            Contact::each(&chunk, &mut |id, updated| ids.push((ContactId::of(id), updated)))?;
        }
        // If a contact has several records, the newest counts.
        ids.sort_unstable_by(|(one, updated), (other, later)| one.cmp(other).then(later.cmp(updated)));
        ids.dedup_by(|(other, _), (one, _)| one == other);
        Ok(Members { may_be_listed: vec![false; ids.len()], ids, counts: Comparison::default() })
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.ids.binary_search_by(|(one, _)| one.cmp(&ContactId::of(id))).ok()
    }

    fn count_listed(&mut self, id: &str) {
        self.counts.holders += 1;
        match self.position(id) {
            Some(position) => self.may_be_listed[position] = true,
            None => self.counts.missing += 1,
        }
    }

    fn count_unknown(&mut self, id: &str) {
        self.counts.unknown += 1;
        match self.position(id) {
            Some(position) => self.may_be_listed[position] = true,
            None => self.counts.unknown_missing += 1,
        }
    }

    /// Members whose own list does not name the group, and members that are not in the stream of everyone.
    fn unlisted(&self) -> impl Iterator<Item = &(ContactId, Updated)> {
        self.ids.iter().zip(&self.may_be_listed).filter(|(_, may_be_listed)| !**may_be_listed).map(|(member, _)| member)
    }

    /// Completes the counts. `everyone` has the unlisted members, each with the time of its newest record in the stream of everyone; `None`
    /// if that stream has no record of the member.
    fn comparison(&self, everyone: &HashMap<ContactId, Option<Updated>>) -> Comparison {
        let is_as_new =
            |(id, updated): &&(ContactId, Updated)| everyone.get(id).copied().flatten().is_some_and(|newest| newest >= *updated);
        Comparison { unconfirmed: self.unlisted().filter(is_as_new).count() as u64, ..self.counts }
    }
}

/// The answers about contacts with truncated lists. Each answer has all tags of the contact.
struct Asked {
    answers: Option<Answers<TagDate>>,
    tags: BTreeSet<(String, String)>,
}

impl Asked {
    fn read(truncated: &BTreeSet<String>, folder: &Path) -> Result<Asked, SnapshotError> {
        if !folder.exists() {
            return Ok(Asked { answers: None, tags: BTreeSet::new() });
        }
        // A contact whose answer cannot be read counts as not asked.
        let answers = Answers::open(folder.to_path_buf())?;
        Ok(Asked { tags: tags_of(folder, truncated)?, answers: Some(answers) })
    }

    fn holds(&self, contact: &str, tag: &str) -> Option<bool> {
        self.answers.as_ref()?.knows(contact).then(|| self.tags.contains(&(contact.to_string(), tag.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::snapshot::{Spool, truncated_tags};
    use domain::{GroupKind, OwnTags, Role, TagDate};

    fn contact(id: &str, updated: i64, tags: &[&str], is_complete: bool) -> Contact {
        let tags = OwnTags { ids: tags.iter().map(|tag| (*tag).into()).collect(), is_complete };
        Contact { updated_at: DateTime::from_timestamp(updated, 0), tags: Some(tags), ..Contact::unknown(id.to_string(), Role::User) }
    }

    fn spooled(folder: &Path, contacts: Vec<Contact>) -> SpooledStream {
        let mut spool = Spool::create(folder.to_path_buf(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
        spool.push(contacts);
        spool.record().is_complete = true;
        SpooledStream::whole(folder.to_path_buf(), spool.finish().unwrap())
    }

    #[test]
    fn own_lists_are_compared_with_what_a_search_gave() {
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

        let truncated = truncated_tags(&everyone).unwrap();
        let answers = place.path().join("answers");
        let compared = |answers: &Path| compare(&everyone, &searched, &truncated, answers).unwrap();
        // `asked-and-does-not` is unknown here, because its list is truncated. With its answer (below) it is not unconfirmed, because the
        // search has a newer record. The same is true for `tagged-since`: the tag may have been added after the older record, so this is no
        // contradiction.
        assert_eq!(compared(&answers)[0], Comparison { holders: 3, missing: 2, unconfirmed: 1, unknown: 4, unknown_missing: 2 });
        assert!(!answers.exists());
        let mut dates = Answers::open(answers.clone()).unwrap();
        dates.push("asked-and-holds".to_string(), vec![TagDate { tag_id: "vip".to_string(), applied_at: None }]).unwrap();
        dates.push("asked-and-does-not".to_string(), vec![TagDate { tag_id: "other".to_string(), applied_at: None }]).unwrap();
        dates.push("cut-and-not-given".to_string(), Vec::new()).unwrap();
        dates.flush().unwrap();
        assert_eq!(compared(&answers)[0], Comparison { holders: 4, missing: 3, unconfirmed: 1, unknown: 1, unknown_missing: 0 });
        // The search for `nobody` gave no members. `missing-too` and `cut-and-given` have truncated lists and no answer, so both are
        // unknown.
        assert_eq!(compared(&answers)[1], Comparison { holders: 0, missing: 0, unconfirmed: 0, unknown: 2, unknown_missing: 2 });
    }
}
