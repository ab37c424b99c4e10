//! The condition of a rule: one SQL boolean expression over a contact's facts of the month.
//!
//! Polars does not evaluate what a person wrote. A condition is read with the parser that Polars uses, and the names and types of
//! all parts are checked. Then the condition is rewritten over the columns of the facts. There are three reasons. A wrong name or
//! type is reported before the first request, not after the last. No name of a workspace (of a tag, of a custom attribute) gets
//! into SQL. Where Polars differs from SQL (`IS TRUE` of null, instants against texts, division by zero), the rewritten condition
//! has the meaning of SQL.
//!
//! The facts have one row for each contact, and these columns:
//! - every text column, `Utf8`, every flag, `Boolean`, and every number, `Float64`, under its own name;
//! - every instant as microseconds since 1970 in UTC, `Int64`, as `<name>_us` ([`FactColumn::sql_name`]);
//! - every [`Reference`] under its alias; its type is described there.
//!
//! Null means unknown and follows SQL's logic. A contact is in the rule only if the condition is true, not if it is null.

mod error;
mod facts;
mod fragments;
mod kinds;
mod names;
mod rewrite;
mod size;
#[cfg(test)]
mod tests;
mod times;
mod values;
mod vocabulary;

use std::fmt;

use sqlparser::ast::Expr;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use domain::GroupName;

pub use error::{ConditionError, Place};
pub use facts::{CONVERSATIONS_OPENED, FACTS, MONTH_END, MONTH_START, NEWLY_UNSUBSCRIBED};

use names::Names;
use rewrite::Rewriter;

/// A condition longer than this was not written by hand.
const MAX_CHARACTERS: usize = 10_000;

/// The maximum depth of SQL that sqlparser reads.
const PARSER_DEPTH: usize = 50;
/// The part of this depth that the query around the condition needs.
const DEPTH_AROUND: usize = 10;

/// The kind of a column of the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactKind {
    Text,
    Number,
    Flag,
    Instant,
}

impl FactKind {
    fn as_str(self) -> &'static str {
        match self {
            FactKind::Text => "text",
            FactKind::Number => "a number",
            FactKind::Flag => "a flag",
            FactKind::Instant => "an instant",
        }
    }
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A column that the facts of every workspace have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactColumn {
    pub name: &'static str,
    pub kind: FactKind,
    pub about: &'static str,
}

impl FactColumn {
    /// The name of the column in the facts: its own name, or `<name>_us` for an instant, which is a number there.
    pub fn sql_name(&self) -> String {
        match self.kind {
            FactKind::Instant => format!("{}_us", self.name),
            FactKind::Text | FactKind::Number | FactKind::Flag => self.name.to_string(),
        }
    }
}

/// Something that a condition needs besides the fixed columns, and the alias of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A custom attribute, read as the kind that the condition needs:
    /// - `Text` (`Utf8`): a text as it is, a number or flag as printed, so that null means "has no value";
    /// - `Number` (`Float64`) and `Flag` (`Boolean`): null if the value is something else;
    /// - `Instant` (`Int64`, microseconds): null if the value is no instant.
    ///
    /// An attribute that is used as two kinds is two references.
    Attribute { name: String, kind: FactKind, alias: String },
    /// What the contact chose for a type of subscription, by its name: `opted_out`, `opted_in` (`Utf8`), or null if it made no choice.
    Subscription { name: String, alias: String },
    /// Whether the contact is a member (`Boolean`) of a group of the job, named as the job names it.
    Group { group: GroupName, alias: String },
}

impl Reference {
    pub fn alias(&self) -> &str {
        match self {
            Reference::Attribute { alias, .. } | Reference::Subscription { alias, .. } | Reference::Group { alias, .. } => alias,
        }
    }
}

/// A cohort of all contacts for which the condition is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    pub condition: Condition,
}

impl Rule {
    pub fn cohort_key(&self) -> String {
        format!("rule:{}", self.name)
    }
}

/// A condition that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    sql: String,
    references: Vec<Reference>,
}

impl Condition {
    /// Reads a condition over these columns and the groups of the job.
    ///
    /// # Errors
    /// Returns the first problem, with its position and reason. The message quotes only the condition and names of the job.
    pub fn parse(text: &str, columns: &[FactColumn], groups: &[GroupName]) -> Result<Condition, ConditionError> {
        let names = Names { columns, groups };
        let tokens = tokens(text)?;
        vocabulary::check(&tokens, &names)?;
        let expression = expression(tokens)?;
        size::check(&expression)?;
        let (sql, references) = Rewriter::new(names).condition(&expression)?;
        check_fits_into_a_query(&sql)?;
        Ok(Condition { sql, references })
    }

    /// The condition as SQL for Polars. It can be put after `WHERE`, after `NOT` or between two `AND`s.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The references, each once, in the order in which the condition names them.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }
}

/// The words of the text, without the space between them.
fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, ConditionError> {
    let length = text.chars().count();
    if length > MAX_CHARACTERS {
        return Err(ConditionError::TooLong { length, most: MAX_CHARACTERS });
    }
    let all = Tokenizer::new(&vocabulary::PlainDialect, text)
        .tokenize_with_location()
        .map_err(|error| ConditionError::Syntax { place: Place::from(error.location), reason: error.message })?;
    let words = vocabulary::without_space(all)?;
    if words.is_empty() {
        return Err(ConditionError::Empty);
    }
    Ok(words)
}

fn expression(tokens: Vec<TokenWithSpan>) -> Result<Expr, ConditionError> {
    let mut parser = Parser::new(&GenericDialect).with_recursion_limit(PARSER_DEPTH).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(ConditionError::from_parser)?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let reason = format!("a condition is one expression, and `{}` follows after its end", next.token);
        return Err(ConditionError::Syntax { place: Place::from(next.span.start), reason });
    }
    Ok(expression)
}

/// Parses the rewritten condition in the same way as Polars. The allowed depth is smaller, because the condition must fit into a
/// query.
fn check_fits_into_a_query(sql: &str) -> Result<(), ConditionError> {
    let query = format!("SELECT contact_id FROM facts WHERE {sql}");
    let parser = Parser::new(&GenericDialect)
        .with_recursion_limit(PARSER_DEPTH - DEPTH_AROUND)
        .with_options(ParserOptions { trailing_commas: true, ..Default::default() });
    match parser.try_with_sql(&query).and_then(|mut parser| parser.parse_statements()) {
        Ok(statements) if statements.len() == 1 => Ok(()),
        Err(ParserError::RecursionLimitExceeded) => Err(ConditionError::TooDeep),
        Ok(_) | Err(_) => Err(ConditionError::Unwritable),
    }
}
