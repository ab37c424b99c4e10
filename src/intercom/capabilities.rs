use domain::GroupKind;

use crate::{v1, v2};

/// What a version of the API can do. Callers test these fields and never compare version numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The largest page size.
    pub max_page_size: u32,
    /// The response of `/me` has the workspace that the token belongs to.
    pub names_workspace: bool,
    /// A contact's record lists its segments and all of its tags. On 2.x the record has no segments and at most ten tags.
    pub lists_own_segments: bool,
    /// Streams can be read in partitions: contacts by days, or by seconds if [`Capabilities::searches_by_second`] is true; conversations by
    /// seconds.
    pub has_partitions: bool,
    /// Searches compare contacts' dates by second. Otherwise they compare calendar days in the workspace's own time zone.
    pub searches_by_second: bool,
    /// The API says when each tag was put on a contact.
    pub dates_tags: bool,
    /// A bulk tag call still changes the other contacts if one of its contacts does not exist. This is so from 2.16 on.
    pub tags_in_part: bool,
    /// A contact's record lists its choices about subscriptions. This is so from 2.5 on.
    pub has_subscriptions: bool,
    /// The API says into which contact a contact was merged. This is so from 2.16 on.
    pub follows_merges: bool,
    /// Conversations can be tagged.
    pub tags_conversations: bool,
    /// The newest version that this client knows, if it is newer than this one. `None` in 1.x: 2.x is another API.
    pub newest_known: Option<&'static str>,
    /// Streams with more rows than the first number are read by a scroll. The second number is the rows on a page of the scroll, which
    /// ends with an empty page. `None` if there is no scroll.
    scroll: Option<(u64, u64)>,
}

impl Capabilities {
    /// The capabilities of a version such as `2.14`. Any other text counts as the oldest version of 2.x.
    pub fn of(api_version: &str) -> Capabilities {
        let (major, minor) = api_version.split_once('.').unwrap_or_default();
        let number = |part: &str| part.parse::<u32>().unwrap_or_default();
        let version = (number(major), number(minor));
        let is_first = major == "1";
        Capabilities {
            max_page_size: if is_first { v1::PAGE_SIZE_MAX } else { v2::PAGE_SIZE_MAX },
            names_workspace: !is_first,
            lists_own_segments: is_first,
            has_partitions: !is_first,
            dates_tags: !is_first,
            searches_by_second: version >= (2, 17),
            tags_in_part: version >= (2, 16),
            has_subscriptions: version >= (2, 5),
            follows_merges: version >= (2, 16),
            tags_conversations: !is_first,
            newest_known: (!is_first && version < (2, 17)).then_some("2.17"),
            scroll: is_first.then_some((v1::NUMBERED_ROWS, v1::SCROLL_ROWS)),
        }
    }

    /// Whether a contact's record lists its groups of this kind. The list may be truncated: 2.x lists at most ten tags.
    pub fn lists_own(&self, kind: GroupKind) -> bool {
        kind == GroupKind::Tag || self.lists_own_segments
    }

    /// The number of pages of a stream with so many rows. It is at least one.
    pub fn pages(&self, rows: u64, page_size: u32) -> u64 {
        match self.scroll {
            Some((numbered_rows, scroll_rows)) if rows > numbered_rows => rows.div_ceil(scroll_rows) + 1,
            _ => rows.div_ceil(u64::from(page_size.clamp(1, self.max_page_size))).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_pages_by_cursor_and_by_scroll() {
        let (first, second) = (Capabilities::of("1.4"), Capabilities::of("2.14"));
        assert_eq!([0, 1, 60, 61, 10_000].map(|rows| first.pages(rows, 60)), [1, 1, 1, 2, 167]);
        assert_eq!(first.pages(10_001, 60), 102);
        assert_eq!([0, 150, 10_001].map(|rows| second.pages(rows, 150)), [1, 1, 67]);
        // The page size is at most the API's maximum, and at least 1.
        assert_eq!((first.pages(120, 150), second.pages(150, 0)), (2, 150));
    }

    #[test]
    fn capabilities_of_versions() {
        let of = |version: &str| {
            let of = Capabilities::of(version);
            (of.names_workspace, of.lists_own_segments, of.has_partitions, of.tags_in_part, of.searches_by_second)
        };
        assert_eq!(of("1.0"), (false, true, false, false, false));
        assert_eq!(of("2.9"), (true, false, true, false, false));
        assert_eq!(of("2.16"), (true, false, true, true, false));
        assert_eq!([of("2.17"), of("2.18"), of("3.0")], [(true, false, true, true, true); 3]);
        let follows = ["1.4", "2.4", "2.15", "2.16"].map(|version| Capabilities::of(version).follows_merges);
        assert_eq!(follows, [false, false, false, true]);
        let has_subscriptions = ["1.4", "2.4", "2.5", "2.17"].map(|version| Capabilities::of(version).has_subscriptions);
        assert_eq!(has_subscriptions, [false, false, true, true]);
        let newest = ["1.4", "2.0", "2.16", "2.17", "2.18", "3.0"].map(|version| Capabilities::of(version).newest_known);
        assert_eq!(newest, [None, Some("2.17"), Some("2.17"), None, None, None]);
        assert!(Capabilities::of("2.0").lists_own(GroupKind::Tag) && !Capabilities::of("2.0").lists_own(GroupKind::Segment));
    }
}
