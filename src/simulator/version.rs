//! The API versions that are served, and where they differ.

/// A 2.x version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u8,
    minor: u8,
}

/// Owner ids are strings, priorities have levels, merged contacts are 410, sort orders are checked.
pub const V2_16: Version = Version { major: 2, minor: 16 };
/// Conversations name their company.
pub const V2_15: Version = Version { major: 2, minor: 15 };
/// `formatted_phone` is in the contact of this version alone; conversations gain `ai_agent`.
pub const V2_11: Version = Version { major: 2, minor: 11 };

impl Version {
    /// The version an `Intercom-Version` header names. `Preview`, 1.x and anything later than 2.16 are not served.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        let digits = |text: &str| {
            (!text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
        };
        let version = Version { major: digits(major)?, minor: digits(minor)? };
        (version.major == 2 && version <= V2_16).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_zero_to_two_sixteen_are_served() {
        assert!((0..=16).all(|minor| Version::parse(&format!("2.{minor}")) == Some(Version { major: 2, minor })));
        for unknown in ["2.17", "1.4", "3.0", "Preview", "Unstable", "", "2", "2.", "2.+1", "2.1.1", "२.१"] {
            assert_eq!(Version::parse(unknown), None, "{unknown}");
        }
        assert!(Version::parse("2.9") < Version::parse("2.11"));
    }
}
