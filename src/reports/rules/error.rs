//! The errors of a condition.

use std::fmt;

use sqlparser::ast::{Expr, Spanned};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Location;

use domain::{GroupKind, GroupName, did_you_mean, unseen_difference};

/// Quoted parts are cut after this many characters.
const QUOTED_CHARACTERS: usize = 60;

/// A position in the condition; line and column count from 1. A message begins with it. If the parser does not know the position,
/// the line is 0 and the text is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    pub(super) fn of(expression: &Expr) -> Place {
        Place::from(expression.span().start)
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place { line: location.line, column: location.column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => Ok(()),
            line => write!(f, "line {line}, column {}: ", self.column),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("the condition is empty")]
    Empty,
    #[error("the condition has {length} characters; at most {most} are allowed")]
    TooLong { length: usize, most: usize },
    #[error("the condition nests its parts too deeply")]
    TooDeep,
    #[error("the condition has too many parts; a long row of `OR` may be an `IN (…)`")]
    TooLarge,
    #[error("{place}the condition cannot be read: {reason}")]
    Syntax { place: Place, reason: String },
    #[error("{place}`{what}` is not available in a condition: {why}")]
    Refused { place: Place, what: String, why: &'static str },
    #[error("{place}`{name}` is no column of the facts{} Columns: {}", hint(name, nearest.as_deref(), *quoted), columns.join(", "))]
    UnknownColumn { place: Place, name: String, quoted: bool, nearest: Option<String>, columns: Vec<String> },
    #[error(
        "{place}the job names no {kind} `{name}`, and membership is known only for its own groups: {}{}",
        list(groups),
        same_looking(name, groups)
    )]
    UnknownGroup { place: Place, kind: GroupKind, name: String, groups: Vec<GroupName> },
    #[error("{place}`{name}` may be any of {}; write `tag.\"…\"` or `segment.\"…\"`, spelled as in the job", list(groups))]
    AmbiguousGroup { place: Place, name: String, groups: Vec<GroupName> },
    #[error("{place}`{part}` is {is}, where {needed} is needed")]
    Kind { place: Place, part: String, is: &'static str, needed: &'static str },
    #[error("{place}`{first}` is {first_is} and `{second}` is {second_is}: {why}")]
    Mismatch { place: Place, first: String, first_is: &'static str, second: String, second_is: &'static str, why: &'static str },
    #[error("{place}`{part}` cannot be used: {why}")]
    Value { place: Place, part: String, why: &'static str },
    /// The rewritten SQL is not one condition. This is a bug. It is reported, and the SQL is not run.
    #[error("the condition was understood, but could not be written for the query; please report it")]
    Unwritable,
}

impl ConditionError {
    /// Reads the position from the end of the text, where sqlparser writes it.
    pub(super) fn from_parser(error: ParserError) -> ConditionError {
        let text = match error {
            ParserError::RecursionLimitExceeded => return ConditionError::TooDeep,
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        let (reason, place) = match text.rsplit_once(" at Line: ") {
            Some((reason, place)) => (reason, place_of(place)),
            None => (text.as_str(), Place { line: 0, column: 0 }),
        };
        let reason = reason.replace("Expected: ", "expected ").replace(", found: ", ", found ").replace("EOF", "the end");
        ConditionError::Syntax { place, reason }
    }

    pub(super) fn refused(expression: &Expr, why: &'static str) -> ConditionError {
        ConditionError::Refused { place: Place::of(expression), what: quoted(expression), why }
    }

    pub(super) fn value(expression: &Expr, why: &'static str) -> ConditionError {
        ConditionError::Value { place: Place::of(expression), part: quoted(expression), why }
    }
}

/// Quotes a part of the condition for a message: on one line, and cut if it is long.
pub(super) fn quoted(part: impl fmt::Display) -> String {
    let text = part.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Reads a position, such as `2, Column: 5`.
fn place_of(text: &str) -> Place {
    let mut numbers = text.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    Place { line: numbers.next().unwrap_or(0), column: numbers.next().unwrap_or(0) }
}

fn hint(name: &str, nearest: Option<&str>, quoted: bool) -> String {
    match (nearest, quoted) {
        (Some(nearest), _) => did_you_mean(name, nearest),
        (None, true) => "; a text is written in single quotes.".to_string(),
        (None, false) => ".".to_string(),
    }
}

fn list(groups: &[GroupName]) -> String {
    match groups {
        [] => "it has none".to_string(),
        groups => groups.iter().map(GroupName::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A hint if a group of the job has a name that looks the same as this one.
fn same_looking(name: &str, groups: &[GroupName]) -> String {
    let differing = groups.iter().find_map(|group| Some((group, unseen_difference(name, &group.text)?)));
    differing
        .map_or(String::new(), |(group, difference)| format!("; `{}` looks the same, but its characters differ: {difference}", group.text))
}
