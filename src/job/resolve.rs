//! A group as the job names it → the group that exists.

use std::fmt;

use crate::domain::{Group, GroupName};
use crate::snapshot::CohortEntry;

/// A group that could not be found, or not without doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub name: GroupName,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// With the nearest existing name.
    NotFound {
        nearest: Option<String>,
    },
    Ambiguous {
        candidates: Vec<Group>,
    },
    /// The API could not be asked for it.
    NotAsked,
}

impl Unresolved {
    /// Nothing is there, rather than too much.
    pub fn is_absent(&self) -> bool {
        matches!(self.why, Why::NotFound { .. })
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::NotFound { nearest: None } => write!(f, "{} is not in the workspace", self.name),
            Why::NotFound { nearest: Some(nearest) } => write!(f, "{} is not in the workspace; did you mean `{nearest}`?", self.name),
            Why::NotAsked => write!(f, "{} was not asked for: the job did not name it when what there is was fetched", self.name),
            Why::Ambiguous { candidates } => {
                let listed: Vec<String> = candidates.iter().map(|group| format!("`{}` (id:{})", group.name, group.id)).collect();
                write!(f, "{} could be {}; name it by its ID", self.name, listed.join(" or "))
            }
        }
    }
}

/// The group of this name, and whether only an earlier month's manifest knew it by that name.
///
/// `id:<ID>` and a cohort key are IDs. Anything else is a name, exactly, then an ID, then a name without regard to
/// case; then the name that an earlier month's manifest gives for a group that still exists.
pub fn resolve(name: &GroupName, existing: &[Group], remembered: &[CohortEntry]) -> Result<(Group, bool), Unresolved> {
    let of_kind: Vec<&Group> = existing.iter().filter(|group| group.kind == name.kind).collect();
    let unresolved = |why| Err(Unresolved { name: name.clone(), why });
    let text = name.text.as_str();
    let by_id = |id: &str| of_kind.iter().copied().find(|group| group.id == id);

    let matching = |matches: &dyn Fn(&Group) -> bool| -> Vec<&Group> { of_kind.iter().copied().filter(|group| matches(group)).collect() };
    let exact = matching(&|group| group.name == text);
    if exact.len() == 1 {
        return Ok((exact[0].clone(), false));
    }
    if exact.len() > 1 {
        return unresolved(Why::Ambiguous { candidates: exact.into_iter().cloned().collect() });
    }
    let prefix = format!("{}:", name.kind);
    if let Some(id) = text.strip_prefix("id:").or_else(|| text.strip_prefix(prefix.as_str()))
        && let Some(group) = by_id(id.trim())
    {
        return Ok((group.clone(), false));
    }
    if let Some(group) = by_id(text.trim()) {
        return Ok((group.clone(), false));
    }
    let folded = text.trim().to_lowercase();
    let alike = matching(&|group| group.name.trim().to_lowercase() == folded);
    if alike.len() == 1 {
        return Ok((alike[0].clone(), false));
    }
    if alike.len() > 1 {
        return unresolved(Why::Ambiguous { candidates: alike.into_iter().cloned().collect() });
    }
    let named_so =
        |entry: &&CohortEntry| entry.kind_and_id().0 == name.kind.as_str() && (entry.configured == text || entry.cohort_name == text);
    if let Some(group) = remembered.iter().find(named_so).and_then(|entry| by_id(entry.kind_and_id().1)) {
        return Ok((group.clone(), true));
    }
    let likeness = |group: &&Group| strsim::jaro_winkler(&folded, &group.name.to_lowercase());
    // An ID that is not there resembles other IDs, which says nothing.
    let is_name = !text.starts_with("id:");
    let nearest =
        of_kind.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|group| is_name && likeness(group) > 0.75);
    unresolved(Why::NotFound { nearest: nearest.map(|group| group.name.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GroupKind::{Segment, Tag};

    fn workspace() -> Vec<Group> {
        let group = |kind, id: &str, name: &str| Group { kind, id: id.into(), name: name.into() };
        vec![
            group(Tag, "1", "value_lead"),
            group(Tag, "2", "VIP"),
            group(Tag, "3", "77"),
            group(Tag, "77", "seventy-seven"),
            group(Tag, "5", "id:2"),
            group(Segment, "a", "Active"),
            group(Segment, "b", "Twice"),
            group(Segment, "c", "Twice"),
            group(Segment, "d", "CASE"),
            group(Segment, "e", "case"),
        ]
    }

    fn id_of(kind: crate::domain::GroupKind, text: &str) -> Result<String, Why> {
        resolve(&GroupName::new(kind, text), &workspace(), &[]).map(|(group, _)| group.id).map_err(|unresolved| unresolved.why)
    }

    #[test]
    fn names_match_exactly_then_as_ids_then_without_case() {
        assert_eq!(id_of(Tag, "value_lead").unwrap(), "1");
        assert_eq!(id_of(Tag, "vip").unwrap(), "2");
        assert_eq!(id_of(Tag, "id:1").unwrap(), "1");
        assert_eq!(id_of(Tag, "1").unwrap(), "1");
        assert_eq!(id_of(Tag, "tag:2").unwrap(), "2");
        assert_eq!(id_of(Tag, "77").unwrap(), "3", "a name goes before an ID");
        assert_eq!(id_of(Tag, "id:77").unwrap(), "77");
        assert_eq!(id_of(Tag, "id:2").unwrap(), "5", "even a name that looks like an ID");
        assert_eq!(id_of(Segment, "case").unwrap(), "e");
        assert_eq!(id_of(Segment, "segment:a").unwrap(), "a");
    }

    #[test]
    fn doubt_is_an_error_that_lists_the_candidates() {
        for (name, ids) in [("Twice", ["b", "c"]), ("twice", ["b", "c"]), ("Case", ["d", "e"])] {
            let Err(Why::Ambiguous { candidates }) = id_of(Segment, name) else { panic!("{name}") };
            assert_eq!(candidates.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ids);
        }
        let text = resolve(&GroupName::new(Segment, "Twice"), &workspace(), &[]).unwrap_err().to_string();
        assert_eq!(text, "segment `Twice` could be `Twice` (id:b) or `Twice` (id:c); name it by its ID");
    }

    #[test]
    fn what_is_not_there_names_the_nearest() {
        assert_eq!(id_of(Tag, "value_leed"), Err(Why::NotFound { nearest: Some("value_lead".into()) }));
        assert_eq!(id_of(Tag, "Active"), Err(Why::NotFound { nearest: None }), "a segment is no tag");
        assert_eq!(id_of(Tag, "id:999"), Err(Why::NotFound { nearest: None }));
    }

    #[test]
    fn a_renamed_group_is_found_by_the_id_it_had() {
        let entry = |key: &str, configured: &str| CohortEntry {
            cohort_key: key.into(),
            cohort_name: "old name".into(),
            configured: configured.into(),
            basis: "month_end".into(),
            observed_at: chrono::DateTime::UNIX_EPOCH,
            members: 0,
            announced: None,
        };
        let find = |text: &str, entries: &[CohortEntry]| {
            resolve(&GroupName::new(Tag, text), &workspace(), entries).map(|(group, was_renamed)| (group.id, was_renamed))
        };
        assert_eq!(find("old name", &[entry("tag:1", "old name")]).unwrap(), ("1".into(), true));
        assert_eq!(find("older name", &[entry("tag:1", "older name")]).unwrap(), ("1".into(), true));
        assert!(find("old name", &[entry("tag:999", "old name")]).is_err(), "it is gone");
        assert!(find("old name", &[entry("segment:a", "old name")]).is_err(), "it was a segment");
    }
}
