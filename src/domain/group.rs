use std::fmt;

use super::are_alike;

/// A group is a tag or a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKind {
    Tag,
    Segment,
}

impl GroupKind {
    pub fn as_str(self) -> &'static str {
        match self {
            GroupKind::Tag => "tag",
            GroupKind::Segment => "segment",
        }
    }

    pub fn parse(text: &str) -> Option<GroupKind> {
        [GroupKind::Tag, GroupKind::Segment].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tag or segment that exists in the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub kind: GroupKind,
    pub id: String,
    pub name: String,
}

impl Group {
    /// `tag:<id>` or `segment:<id>`. It does not change with the name.
    pub fn key(&self) -> String {
        cohort_key(self.kind, &self.id)
    }
}

/// See [`Group::key`].
pub fn cohort_key(kind: GroupKind, id: &str) -> String {
    format!("{kind}:{id}")
}

/// How well a name matches a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The name, the ID or the cohort key is equal.
    Exact,
    /// The name looks like the group's name, see [`are_alike`].
    Alike,
}

/// A group as a person writes it. The kind comes from the context (`tags = […]` or `tag:…`). The text is a name, an ID or `id:<ID>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupName {
    pub kind: GroupKind,
    pub text: String,
}

impl GroupName {
    pub fn new(kind: GroupKind, text: impl Into<String>) -> GroupName {
        GroupName { kind, text: text.into() }
    }

    /// Parses `tag:NAME` or `segment:NAME`, where NAME may be a name, an ID or `id:<ID>`.
    pub fn parse_qualified(text: &str) -> Option<GroupName> {
        let (kind, name) = text.split_once(':')?;
        let name = name.trim();
        (!name.is_empty()).then(|| GroupKind::parse(kind.trim()).map(|kind| GroupName::new(kind, name)))?
    }

    /// How well this name matches the group with this cohort key. `names` are the current and the former name of the group. `None` if the
    /// name does not match. An exact match takes precedence over groups that only look alike.
    pub fn fit(&self, cohort_key: &str, names: [&str; 2]) -> Option<Fit> {
        let (kind, id) = cohort_key.split_once(':')?;
        if kind != self.kind.as_str() {
            return None;
        }
        let text = self.text.trim();
        let is_id = text.strip_prefix("id:").unwrap_or(text).trim() == id || text == cohort_key;
        if is_id || names.contains(&self.text.as_str()) {
            return Some(Fit::Exact);
        }
        names.iter().any(|name| are_alike(name, text)).then_some(Fit::Alike)
    }

    /// Whether this name, one of `names_of_job`, means a group. `fit` returns how well a name matches that group. A name that only looks
    /// like the group's name does not mean the group if another name of the job matches exactly.
    pub fn means(&self, names_of_job: &[GroupName], fit: impl Fn(&GroupName) -> Option<Fit>) -> bool {
        match fit(self) {
            Some(Fit::Exact) => true,
            Some(Fit::Alike) => !names_of_job.iter().any(|other| fit(other) == Some(Fit::Exact)),
            None => false,
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_key_and_name_match_exactly_and_similar_names_alike() {
        let fit = |text: &str| GroupName::new(GroupKind::Tag, text).fit("tag:7", ["Café", "old name"]);
        for text in ["Café", "old name", "7", "id:7", "id: 7", "tag:7", " 7 "] {
            assert_eq!(fit(text), Some(Fit::Exact), "{text}");
        }
        for text in ["CAFE\u{301}", "Old\u{a0}Name", " Café\u{200b}"] {
            assert_eq!(fit(text), Some(Fit::Alike), "{text}");
        }
        for text in ["8", "id:8", "segment:7", "Cafe", ""] {
            assert_eq!(fit(text), None, "{text}");
        }
        assert_eq!(GroupName::new(GroupKind::Segment, "Café").fit("tag:7", ["Café", "Café"]), None);
    }

    #[test]
    fn an_exact_match_of_another_name_takes_precedence() {
        let [exact, alike] = ["VIP", "vip"].map(|text| GroupName::new(GroupKind::Tag, text));
        let means = |name: &GroupName, of_job: &[&GroupName]| {
            let of_job: Vec<GroupName> = of_job.iter().copied().cloned().collect();
            name.means(&of_job, |name| name.fit("tag:7", ["VIP", "VIP"]))
        };
        assert!(means(&exact, &[&exact, &alike]) && means(&alike, &[&alike]));
        assert!(!means(&alike, &[&exact, &alike]), "a job that names both means two groups");
    }
}
