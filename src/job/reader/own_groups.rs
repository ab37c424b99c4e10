//! What is kept of the groups that contacts list themselves.

use super::StreamReader;
use domain::{Contact, GroupKind, OwnTags};

impl StreamReader {
    /// Of the contact's own groups those that are looked for, and whether it may be in others of them.
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
        Contact { tags: of(GroupKind::Tag, contact.tags), segments: of(GroupKind::Segment, contact.segments), ..contact }
    }
}
