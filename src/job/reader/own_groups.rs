//! Keeps only what the job needs of the own lists of contacts.

use super::StreamReader;
use domain::{Contact, GroupKind, OwnTags};

impl StreamReader {
    /// Keeps only the groups that the job needs in the contact's own lists, and the subscriptions if the job observes them. A list counts
    /// as complete if it has all of these groups.
    pub(super) fn with_own_groups(&self, contact: Contact) -> Contact {
        let of = |kind: GroupKind, list: Option<OwnTags>| {
            let groups = || self.own_lists_of.iter().filter(|group| group.kind == kind);
            let wanted = groups().count();
            if wanted == 0 {
                return None;
            }
            let mut list = list.unwrap_or_default();
            list.ids.retain(|id| groups().any(|group| group.id == *id));
            list.is_complete |= list.ids.len() == wanted;
            Some(list)
        };
        let subscriptions = contact.subscriptions.filter(|_| self.has_subscriptions);
        Contact { tags: of(GroupKind::Tag, contact.tags), segments: of(GroupKind::Segment, contact.segments), subscriptions, ..contact }
    }
}
