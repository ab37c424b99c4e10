//! Resolves the names in a condition.

use sqlparser::ast::Ident;

use domain::{GroupKind, GroupName, are_alike, name_key, unseen_difference};

use super::error::{ConditionError, Place, quoted};
use super::{FactColumn, FactKind, vocabulary};

const CUSTOM: &str = "custom_attributes";
const SUBSCRIPTION: &str = "subscription";

/// A name with at least this similarity (from 0 to 1) is suggested.
const ALIKE: f64 = 0.8;

#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub columns: &'a [FactColumn],
    pub groups: &'a [GroupName],
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Named<'a> {
    Column(&'a FactColumn),
    Attribute(String),
    Subscription(String),
    Group(&'a GroupName),
}

impl Named<'_> {
    /// `None` for a custom attribute: its kind is known only from its use.
    pub(super) fn kind(&self) -> Option<FactKind> {
        match self {
            Named::Column(column) => Some(column.kind),
            Named::Group(_) => Some(FactKind::Flag),
            Named::Subscription(_) => Some(FactKind::Text),
            Named::Attribute(_) => None,
        }
    }
}

impl<'a> Names<'a> {
    /// Resolves a path of names: `country`, `custom_attributes.plan`, `subscription."Product news"`, `tag."Big one"`, `"segment:Active"`.
    pub(super) fn resolve(&self, path: &[Ident]) -> Result<Named<'a>, ConditionError> {
        match path {
            [name] => self.single(name),
            [owner, rest @ ..] => {
                let rest = rest.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(".");
                match self.owner(owner) {
                    Some(Owner::Custom) => Ok(Named::Attribute(rest)),
                    Some(Owner::Subscription) => Ok(Named::Subscription(rest)),
                    Some(Owner::Group(kind)) => self.group(owner, kind, &rest),
                    None => Err(self.unknown(owner, format!("{}.{rest}", owner.value))),
                }
            }
            [] => Err(ConditionError::Empty),
        }
    }

    fn single(&self, name: &Ident) -> Result<Named<'a>, ConditionError> {
        // The parser accepts a keyword as a name if nothing else fits. In a condition this is an error.
        if name.quote_style.is_none() && vocabulary::is_keyword(&name.value) {
            let reason = format!("`{}` stands where a value should", name.value);
            return Err(ConditionError::Syntax { place: place(name), reason });
        }
        if let Some(column) = self.columns.iter().find(|column| is(name, column.name)) {
            return Ok(Named::Column(column));
        }
        if let Some((owner, rest)) = name.value.split_once(['.', ':']).filter(|(_, rest)| !rest.is_empty()) {
            let separator = &name.value[owner.len()..owner.len() + 1];
            match GroupKind::parse(owner) {
                Some(kind) if separator == ":" => return self.group(name, kind, rest),
                None if separator == "." && owner == CUSTOM => return Ok(Named::Attribute(rest.to_string())),
                None if separator == "." && owner == SUBSCRIPTION => return Ok(Named::Subscription(rest.to_string())),
                _ => {}
            }
        }
        match self.alike(None, &name.value).as_slice() {
            [] => Err(self.unknown(name, name.value.clone())),
            [group] => Ok(Named::Group(group)),
            several => Err(ambiguous(name, &name.value, several)),
        }
    }

    fn owner(&self, name: &Ident) -> Option<Owner> {
        let owners = [
            (CUSTOM, Owner::Custom),
            (SUBSCRIPTION, Owner::Subscription),
            ("tag", Owner::Group(GroupKind::Tag)),
            ("segment", Owner::Group(GroupKind::Segment)),
        ];
        owners.into_iter().find_map(|(text, owner)| is(name, text).then_some(owner))
    }

    fn group(&self, at: &Ident, kind: GroupKind, text: &str) -> Result<Named<'a>, ConditionError> {
        match self.alike(Some(kind), text).as_slice() {
            [] => Err(ConditionError::UnknownGroup { place: place(at), kind, name: quoted(text), groups: self.groups.to_vec() }),
            [group] => Ok(Named::Group(group)),
            several => Err(ambiguous(at, text, several)),
        }
    }

    /// The groups that a text names: groups with the same spelling. If there are none, groups whose names look alike.
    fn alike(&self, kind: Option<GroupKind>, text: &str) -> Vec<&'a GroupName> {
        let of_kind = || self.groups.iter().filter(|group| kind.is_none_or(|kind| group.kind == kind));
        let exact: Vec<&GroupName> = of_kind().filter(|group| group.text == text).collect();
        if !exact.is_empty() {
            return exact;
        }
        of_kind().filter(|group| are_alike(&group.text, text)).collect()
    }

    fn unknown(&self, at: &Ident, name: String) -> ConditionError {
        let key = name_key(&name);
        let known = || self.columns.iter().map(|column| column.name).chain(self.groups.iter().map(|group| group.text.as_str()));
        let most_like = || known().map(|known| (strsim::jaro_winkler(&key, &name_key(known)), known)).max_by(|a, b| a.0.total_cmp(&b.0));
        let nearest = known()
            .find(|known| unseen_difference(&name, known).is_some())
            .or_else(|| most_like().filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known))
            .map(str::to_string);
        let fixed = self.columns.iter().map(|column| column.name.to_string());
        let columns = fixed.chain(["custom_attributes.NAME", "subscription.NAME", "tag.NAME", "segment.NAME"].map(String::from)).collect();
        ConditionError::UnknownColumn { place: place(at), name: quoted(name), quoted: at.quote_style.is_some(), nearest, columns }
    }
}

#[derive(Clone, Copy)]
enum Owner {
    Custom,
    Subscription,
    Group(GroupKind),
}

/// Whether a name equals the text. Case matters only if the name is quoted.
fn is(name: &Ident, text: &str) -> bool {
    match name.quote_style {
        Some(_) => name.value == text,
        None => name.value.eq_ignore_ascii_case(text),
    }
}

fn place(name: &Ident) -> Place {
    Place::from(name.span.start)
}

fn ambiguous(at: &Ident, name: &str, groups: &[&GroupName]) -> ConditionError {
    ConditionError::AmbiguousGroup { place: place(at), name: quoted(name), groups: groups.iter().copied().cloned().collect() }
}
