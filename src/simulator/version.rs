//! The API versions that are served, and where they differ.

use std::fmt;

/// A version from 1.0 to 1.4 or from 2.0 to 2.17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version {
    major: u8,
    minor: u8,
}

/// From 1.1 on, a search for users by e-mail returns a list, no longer a single object.
pub(crate) const V1_1: Version = Version { major: 1, minor: 1 };
/// From 2.5 on, the error for deleting a tag in use lists the segments that need the tag, and there are subscriptions.
pub(crate) const V2_5: Version = Version { major: 2, minor: 5 };
/// The last version with `/counts`.
pub(crate) const V2_6: Version = Version { major: 2, minor: 6 };
/// The only version with `formatted_phone` and `email_domain` in contacts, and the first with `ai_agent` in conversations.
pub(crate) const V2_11: Version = Version { major: 2, minor: 11 };
/// From 2.15 on, conversations have the key `company`.
pub(crate) const V2_15: Version = Version { major: 2, minor: 15 };
/// From 2.16 on, owner ids are strings, priorities have levels, merged contacts are 410, sort orders are checked, and unknown members of a
/// tag call are skipped.
pub(crate) const V2_16: Version = Version { major: 2, minor: 16 };
/// From 2.17 on, contact searches compare the standard dates by exact seconds, and custom dates by days of UTC.
pub(crate) const V2_17: Version = Version { major: 2, minor: 17 };

/// The last version of the first generation.
const V1_4: Version = Version { major: 1, minor: 4 };

impl Version {
    /// The version in an `Intercom-Version` header. `Preview`, versions between 1.4 and 2.0 and versions after 2.17 are not served.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        let digits = |text: &str| {
            (!text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
        };
        let version = Version { major: digits(major)?, minor: digits(minor)? };
        let last = match version.major {
            1 => V1_4,
            2 => V2_17,
            _ => return None,
        };
        (version <= last).then_some(version)
    }

    /// Whether the version is one of the first generation, with users and leads, page numbers and scrolls.
    pub(crate) fn is_legacy(self) -> bool {
        self.major == 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_are_served_and_nothing_else() {
        assert!((0..=17).all(|minor| Version::parse(&format!("2.{minor}")) == Some(Version { major: 2, minor })));
        assert!((0..=4).all(|minor| Version::parse(&format!("1.{minor}")).is_some_and(Version::is_legacy)));
        for unknown in ["2.18", "1.5", "0.9", "3.0", "Preview", "Unstable", "", "2", "2.", "2.+1", "2.1.1", "२.१"] {
            assert_eq!(Version::parse(unknown), None, "{unknown}");
        }
        assert!(Version::parse("2.9") < Version::parse("2.11") && Version::parse("1.4") < Version::parse("2.0"));
    }
}
