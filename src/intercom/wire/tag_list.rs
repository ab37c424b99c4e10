use serde::Deserialize;

use super::lenient::{Flag, Listed, Text, Whole, some};
use domain::OwnTags;

/// The tags of a contact, a company or a conversation. `has_more` and `total_count` show whether these are all.
#[derive(Deserialize)]
pub(crate) struct TagList {
    #[serde(default, alias = "data")]
    tags: Listed<TagReference>,
    total_count: Option<Whole>,
    #[serde(default)]
    has_more: Flag,
}

#[derive(Deserialize)]
struct TagReference {
    id: Option<Text>,
}

impl TagList {
    /// The tags of a company or a conversation. The list is complete unless `has_more` or `total_count` says otherwise.
    pub(crate) fn own(self) -> Option<OwnTags> {
        self.ids(|has_more| has_more != Some(true))
    }

    /// The tags of a contact. A contact's record lists at most ten tags, so the list is complete only if `has_more` is false and
    /// `total_count`, if given, agrees.
    pub(crate) fn own_if_said_complete(self) -> Option<OwnTags> {
        self.ids(|has_more| has_more == Some(false))
    }

    fn ids(self, is_complete: impl Fn(Option<bool>) -> bool) -> Option<OwnTags> {
        let listed = self.tags.0?;
        let count = listed.len() as u64;
        let ids: Vec<_> = listed.into_iter().filter_map(|tag| some(tag.id)).collect();
        // A tag without an ID may be any tag, so the list is then not complete.
        let is_full = ids.len() as u64 == count && self.total_count.is_none_or(|total| total.0 == Some(count));
        Some(OwnTags { ids, is_complete: is_full && is_complete(self.has_more.0) })
    }
}
