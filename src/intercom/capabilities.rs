use domain::GroupKind;

use crate::{v1, v2};

/// What a version of the API can do, known from its number: nobody outside this crate asks which generation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Rows of a page, at most.
    pub max_page_size: u32,
    /// `/me` says whose workspace the token is of.
    pub names_workspace: bool,
    /// Contacts list the segments that they are in, and all of their tags. 2.x lists ten tags and no segments.
    pub lists_own_segments: bool,
    /// Lists can be read in partitions of days and seconds.
    pub has_partitions: bool,
    /// Contacts say since when they carry a tag.
    pub dates_tags: bool,
    /// A call that tags many is done for the others when it names somebody who is not there (2.16).
    pub tags_in_part: bool,
    /// Lists longer than the first ride on a scroll, with pages of the second, and end with an empty one.
    scroll: Option<(u64, u64)>,
}

impl Capabilities {
    /// Of a version such as `2.14`. What is no version is taken for the oldest of the second generation.
    pub fn of(api_version: &str) -> Capabilities {
        let (major, minor) = api_version.split_once('.').unwrap_or_default();
        let number = |part: &str| part.parse::<u32>().unwrap_or_default();
        let is_first = major == "1";
        Capabilities {
            max_page_size: if is_first { v1::PAGE_SIZE_MAX } else { v2::PAGE_SIZE_MAX },
            names_workspace: !is_first,
            lists_own_segments: is_first,
            has_partitions: !is_first,
            dates_tags: !is_first,
            tags_in_part: (number(major), number(minor)) >= (2, 16),
            scroll: is_first.then_some((v1::NUMBERED_ROWS, v1::SCROLL_ROWS)),
        }
    }

    /// Whether contacts list the groups of this kind that they are in, all of them or the first ten.
    pub fn lists_own(&self, kind: GroupKind) -> bool {
        kind == GroupKind::Tag || self.lists_own_segments
    }

    /// How many pages a list of so many rows has, of which there is one at least.
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
    fn pages_of_lists_and_of_the_scroll() {
        let (first, second) = (Capabilities::of("1.4"), Capabilities::of("2.14"));
        assert_eq!([0, 1, 60, 61, 10_000].map(|rows| first.pages(rows, 60)), [1, 1, 1, 2, 167]);
        assert_eq!(first.pages(10_001, 60), 102);
        assert_eq!([0, 150, 10_001].map(|rows| second.pages(rows, 150)), [1, 1, 67]);
        // A page is never longer than the API gives.
        assert_eq!((first.pages(120, 150), second.pages(150, 0)), (2, 150));
    }

    #[test]
    fn what_versions_can_do() {
        let of = |version: &str| {
            let of = Capabilities::of(version);
            (of.names_workspace, of.lists_own_segments, of.has_partitions, of.tags_in_part)
        };
        assert_eq!(of("1.0"), (false, true, false, false));
        assert_eq!(of("2.9"), (true, false, true, false));
        assert_eq!([of("2.16"), of("2.17"), of("3.0")], [(true, false, true, true); 3]);
        assert!(Capabilities::of("2.0").lists_own(GroupKind::Tag) && !Capabilities::of("2.0").lists_own(GroupKind::Segment));
    }
}
