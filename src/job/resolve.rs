//! Finds the existing group that a name in the job means.

use std::fmt;

use archive::snapshot::CohortEntry;
use domain::{Group, GroupName, name_key, unseen_difference};

/// A group that could not be found, or whose name may mean several groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub name: GroupName,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    NotFound {
        nearest: Option<Group>,
    },
    Ambiguous {
        candidates: Vec<Group>,
    },
    /// The API could not be asked for the group.
    NotAsked,
}

impl Unresolved {
    /// Whether no group was found. Otherwise there may be several.
    pub fn is_absent(&self) -> bool {
        matches!(self.why, Why::NotFound { .. })
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::NotFound { nearest: None } => write!(f, "{} is not in the workspace", self.name),
            Why::NotFound { nearest: Some(Group { name, id, .. }) } => {
                write!(f, "{} is not in the workspace; did you mean `{name}`", self.name)?;
                match unseen_difference(&self.name.text, name) {
                    Some(difference) => write!(f, " (id:{id})? It looks the same, but its characters differ: {difference}"),
                    None => f.write_str("?"),
                }
            }
            Why::NotAsked => write!(f, "{} was not asked for: the job did not name it when what there is was fetched", self.name),
            Why::Ambiguous { candidates } => {
                let listed: Vec<String> = candidates.iter().map(|group| format!("`{}` (id:{})", group.name, group.id)).collect();
                write!(f, "{} could be {}", self.name, listed.join(" or "))?;
                let first = candidates.first().map_or("", |group| &group.name);
                if let Some(difference) = candidates.iter().find_map(|group| unseen_difference(first, &group.name)) {
                    write!(f, ", which look the same, but their characters differ: {difference}")?;
                }
                f.write_str("; name it by its ID")
            }
        }
    }
}

/// The group of this name, and whether the name was found only in the manifest of an earlier month.
///
/// `id:<ID>` and a cohort key are IDs. Any other text is tried as an exact name, then as an ID, then as a name that looks alike
/// ([`name_key`]). Last, the names in earlier months' manifests are tried in the same order, for groups that still exist.
pub fn resolve(name: &GroupName, existing: &[Group], prior_month: &[CohortEntry]) -> Result<(Group, bool), Unresolved> {
    let of_kind: Vec<&Group> = existing.iter().filter(|group| group.kind == name.kind).collect();
    let unresolved = |why| Err(Unresolved { name: name.clone(), why });
    let text = name.text.as_str();
    let by_id = |id: &str| of_kind.iter().copied().find(|group| group.id == id);
    let prefix = format!("{}:", name.kind);
    let by_written_id = |text: &str| {
        let id = text.strip_prefix("id:").or_else(|| text.strip_prefix(prefix.as_str()));
        id.and_then(|id| by_id(id.trim())).or_else(|| by_id(text.trim()))
    };
    let ambiguous = |candidates: Vec<&Group>| unresolved(Why::Ambiguous { candidates: candidates.into_iter().cloned().collect() });

    let exact: Vec<&Group> = of_kind.iter().copied().filter(|group| group.name == text).collect();
    match exact.as_slice() {
        [] => {}
        [group] => return Ok(((*group).clone(), false)),
        _ => return ambiguous(exact),
    }
    if let Some(group) = by_written_id(text) {
        return Ok((group.clone(), false));
    }
    let key = name_key(text);
    // A name without visible characters is similar to nothing.
    let is_alike = |other: &str| !key.is_empty() && name_key(other) == key;
    let alike: Vec<&Group> = of_kind.iter().copied().filter(|group| is_alike(&group.name)).collect();
    match alike.as_slice() {
        [] => {}
        [group] => return Ok(((*group).clone(), false)),
        _ => return ambiguous(alike),
    }
    // The text may be an ID that was copied together with an invisible character.
    if let Some(group) = by_written_id(&key) {
        return Ok((group.clone(), false));
    }
    let renamed = |matches: &dyn Fn(&str) -> bool| {
        let of_entry = prior_month.iter().filter(|entry| entry.kind_and_id().0 == name.kind.as_str());
        let named_so = of_entry.filter(|entry| matches(&entry.configured) || matches(&entry.cohort_name));
        let mut groups: Vec<&Group> = Vec::new();
        for group in named_so.filter_map(|entry| by_id(entry.kind_and_id().1)) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    };
    // If a name is in several months, the newest month counts.
    if let Some(group) = renamed(&|other| other == text).first() {
        return Ok(((*group).clone(), true));
    }
    match renamed(&is_alike).as_slice() {
        [] => {}
        [group] => return Ok(((*group).clone(), true)),
        several => return ambiguous(several.to_vec()),
    }
    unresolved(Why::NotFound { nearest: nearest(text, &key, &of_kind).cloned() })
}

/// The group whose name looks the same. If there is none, the group with the most similar name.
fn nearest<'a>(text: &str, key: &str, groups: &[&'a Group]) -> Option<&'a Group> {
    // A missing ID is similar to other IDs by chance, so such a hint would mean nothing.
    if text.starts_with("id:") {
        return None;
    }
    let looks_the_same = groups.iter().copied().find(|group| unseen_difference(text, &group.name).is_some());
    let likeness = |group: &&Group| strsim::jaro_winkler(key, &name_key(&group.name));
    let most_like = || groups.iter().copied().map(|group| (likeness(&group), group)).max_by(|a, b| a.0.total_cmp(&b.0));
    looks_the_same.or_else(|| most_like().filter(|(likeness, _)| *likeness > 0.75).map(|(_, group)| group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::GroupKind::{Segment, Tag};

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

    fn id_of(kind: domain::GroupKind, text: &str) -> Result<String, Why> {
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
        let Err(Why::NotFound { nearest: Some(nearest) }) = id_of(Tag, "value_leed") else { panic!("found") };
        assert_eq!(nearest.name, "value_lead");
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
            created_at: None,
            updated_at: None,
        };
        let find = |text: &str, entries: &[CohortEntry]| {
            resolve(&GroupName::new(Tag, text), &workspace(), entries).map(|(group, was_renamed)| (group.id, was_renamed))
        };
        assert_eq!(find("old name", &[entry("tag:1", "old name")]).unwrap(), ("1".into(), true));
        assert_eq!(find("older name", &[entry("tag:1", "older name")]).unwrap(), ("1".into(), true));
        assert!(find("old name", &[entry("tag:999", "old name")]).is_err(), "it is gone");
        assert!(find("old name", &[entry("segment:a", "old name")]).is_err(), "it was a segment");
    }

    #[test]
    fn a_name_that_looks_alike_is_found_when_the_exact_one_is_not_there() {
        let tag = |id: &str, name: &str| Group { kind: Tag, id: id.into(), name: name.into() };
        let find = |groups: &[Group], text: &str| resolve(&GroupName::new(Tag, text), groups, &[]);
        let id = |groups: &[Group], text: &str| find(groups, text).map(|(group, _)| group.id).map_err(|unresolved| unresolved.to_string());
        let one = [tag("7", "Cafe\u{301}\u{a0}VIP\u{200b}"), tag("8", "other")];
        for text in ["Café VIP", "CAFÉ  vip", "café\u{2003}ＶＩＰ"] {
            assert_eq!(id(&one, text).as_deref(), Ok("7"), "{text}");
        }
        for text in ["id:7\u{200b}", "\u{feff}7", "TAG:7", "ID:7"] {
            assert_eq!(id(&one, text).as_deref(), Ok("7"), "an ID is found without what is invisible: {text:?}");
        }
        // Both names exist: they differ only in how the accent is encoded. Each exact name means its own group. Other spellings
        // could mean both.
        let both = [tag("1", "Café"), tag("2", "Cafe\u{301}")];
        assert_eq!((id(&both, "Café").as_deref(), id(&both, "Cafe\u{301}").as_deref()), (Ok("1"), Ok("2")));
        assert_eq!(
            id(&both, "CAFÉ").unwrap_err(),
            "tag `CAFÉ` could be `Café` (id:1) or `Cafe\u{301}` (id:2), which look the same, but their characters differ: \
             U+0065 in place of U+00E9; name it by its ID"
        );
        let i = [tag("1", "İzmir"), tag("2", "ızmir")];
        assert_eq!((id(&i, "İzmir").as_deref(), id(&i, "ızmir").as_deref()), (Ok("1"), Ok("2")));
        assert!(id(&i, "izmir").unwrap_err().contains("(id:1) or `ızmir` (id:2)"));
        // These names are invisible. They are found only by the exact name or by their IDs.
        let unseen = [tag("1", "\u{200b}"), tag("2", "\u{200d}")];
        assert_eq!(id(&unseen, "\u{200d}").as_deref(), Ok("2"));
        assert!(find(&unseen, "\u{2060}").unwrap_err().is_absent());
    }

    #[test]
    fn a_hint_says_when_what_it_shows_only_looks_the_same() {
        let tag = |id: &str, name: &str| Group { kind: Tag, id: id.into(), name: name.into() };
        // The second letter is Cyrillic.
        let groups = [tag("1", "VIP customers"), tag("7", "V\u{406}P")];
        let message = |text: &str| resolve(&GroupName::new(Tag, text), &groups, &[]).unwrap_err().to_string();
        assert_eq!(
            message("VIP"),
            "tag `VIP` is not in the workspace; did you mean `V\u{406}P` (id:7)? It looks the same, but its characters differ: \
             U+0406 in place of U+0049"
        );
        assert_eq!(message("VIP costumers"), "tag `VIP costumers` is not in the workspace; did you mean `VIP customers`?");
    }

    #[test]
    fn a_renamed_group_is_found_by_a_name_that_looks_like_the_one_it_had() {
        let entry = |key: &str, name: &str| CohortEntry {
            cohort_key: key.into(),
            cohort_name: name.into(),
            configured: name.into(),
            basis: "month_end".into(),
            observed_at: chrono::DateTime::UNIX_EPOCH,
            members: 0,
            announced: None,
            created_at: None,
            updated_at: None,
        };
        let find = |text: &str, entries: &[CohortEntry]| {
            resolve(&GroupName::new(Tag, text), &workspace(), entries).map(|(group, was_renamed)| (group.id, was_renamed))
        };
        assert_eq!(find("CAFÉ", &[entry("tag:1", "Cafe\u{301}"), entry("tag:1", "café")]).unwrap(), ("1".into(), true));
        let both = [entry("tag:1", "Cafe\u{301}"), entry("tag:2", "Café")];
        assert_eq!(find("Café", &both).unwrap(), ("2".into(), true), "exactly, though a newer month has one that looks alike");
        assert!(!find("CAFÉ", &both).unwrap_err().is_absent(), "it could be either");
    }
}
