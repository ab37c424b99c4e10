use serde::Deserialize;

use super::lenient::{Flag, Listed, Text, Whole, some};
use domain::OwnTags;

/// All tags of a company or a conversation.
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
    pub(crate) fn own(self) -> Option<OwnTags> {
        let listed = self.tags.0?;
        let count = listed.len() as u64;
        let ids: Vec<_> = listed.into_iter().filter_map(|tag| some(tag.id)).collect();
        // A tag without an ID may be any tag, so the list is then not complete.
        let is_full = ids.len() as u64 == count && self.total_count.is_none_or(|total| total.0 == Some(count));
        Some(OwnTags { ids, is_complete: is_full && self.has_more.0 != Some(true) })
    }
}
