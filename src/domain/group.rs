use std::fmt;

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
    /// `tag:<id>` or `segment:<id>`: stable when the name changes.
    pub fn key(&self) -> String {
        cohort_key(self.kind, &self.id)
    }
}

/// See [`Group::key`].
pub fn cohort_key(kind: GroupKind, id: &str) -> String {
    format!("{kind}:{id}")
}

/// A group as a person names it: kind from the context (`tags = […]`, `tag:…`), and a name, an ID or `id:<ID>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupName {
    pub kind: GroupKind,
    pub text: String,
}

impl GroupName {
    pub fn new(kind: GroupKind, text: impl Into<String>) -> GroupName {
        GroupName { kind, text: text.into() }
    }

    /// Reads `tag:NAME` or `segment:NAME`, where NAME may be a name, an ID or `id:<ID>`.
    pub fn parse_qualified(text: &str) -> Option<GroupName> {
        let (kind, name) = text.split_once(':')?;
        let name = name.trim();
        (!name.is_empty()).then(|| GroupKind::parse(kind.trim()).map(|kind| GroupName::new(kind, name)))?
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.text)
    }
}
