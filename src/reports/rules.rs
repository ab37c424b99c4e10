//! The condition of a rule: one SQL boolean expression over a contact's facts of the month.
//!
//! What a person writes is not what Polars evaluates. A condition is read with the parser that Polars uses, every part
//! of it is named, typed and known to be harmless, and then it is written anew, over columns that the facts hold. Three
//! reasons: a wrong name or type is told before the first request and not after the last; no name of a workspace (of a
//! tag, of a custom attribute) gets into SQL; and where Polars' SQL is not SQL (`IS TRUE` of null, instants against
//! texts, division by zero), what is written is what SQL means.
//!
//! The facts, a row a contact, hold
//! - every text column, `Utf8`, every flag, `Boolean`, and every number, `Float64`, under its own name;
//! - every instant as microseconds since 1970 in UTC, `Int64`, as `<name>_us` ([`FactColumn::sql_name`]);
//! - every [`Reference`] under its alias, of the same types: see there.
//!
//! Null is what is not known, and follows SQL's logic: a contact is in the rule when the condition is true.

mod error;
mod facts;
mod kinds;
mod names;
mod pieces;
mod rewrite;
mod size;
#[cfg(test)]
mod tests;
mod times;
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

/// How deep sqlparser lets SQL nest, and what of that is left to the query around the condition.
const PARSER_DEPTH: usize = 50;
const DEPTH_AROUND: usize = 10;

/// What a column of the facts holds.
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

/// A column that every workspace's facts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactColumn {
    pub name: &'static str,
    pub kind: FactKind,
    pub about: &'static str,
}

impl FactColumn {
    /// What the facts call the column: its name, and `<name>_us` where an instant is held as a number.
    pub fn sql_name(&self) -> String {
        match self.kind {
            FactKind::Instant => format!("{}_us", self.name),
            FactKind::Text | FactKind::Number | FactKind::Flag => self.name.to_string(),
        }
    }
}

/// What a condition needs besides the fixed columns, and the column that it expects it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A custom attribute, read as the kind that the condition uses it as:
    /// - `Text` (`Utf8`): a text as it is, a number or flag as it is printed, so that null says "has no value";
    /// - `Number` (`Float64`) and `Flag` (`Boolean`): null where the value is something else;
    /// - `Instant` (`Int64`, microseconds): null where the value is no instant.
    ///
    /// An attribute that is used in two kinds is two references.
    Attribute { name: String, kind: FactKind, alias: String },
    /// Whether the contact is a member (`Boolean`) of a group of the job, named as the job names it.
    Group { group: GroupName, alias: String },
}

impl Reference {
    pub fn alias(&self) -> &str {
        match self {
            Reference::Attribute { alias, .. } | Reference::Group { alias, .. } => alias,
        }
    }
}

/// A cohort by behaviour: whoever the condition is true of.
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
    /// Says the first thing that is wrong, where, and why. It quotes nothing but the condition and names of the job.
    pub fn parse(text: &str, columns: &[FactColumn], groups: &[GroupName]) -> Result<Condition, ConditionError> {
        let names = Names { columns, groups };
        let tokens = tokens(text)?;
        vocabulary::check(&tokens, &names)?;
        let expression = expression(tokens)?;
        size::check(&expression)?;
        let (sql, references) = Rewriter::new(names).condition(&expression)?;
        room_for_a_query_around(&sql)?;
        Ok(Condition { sql, references })
    }

    /// The condition as Polars is to evaluate it, fit to stand after `WHERE`, `NOT` or between two `AND`s.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// In the order in which the condition names them, each once.
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
        let reason = format!("a condition is one expression, and `{}` stands after its end", next.token);
        return Err(ConditionError::Syntax { place: Place::from(next.span.start), reason });
    }
    Ok(expression)
}

/// Reads what was written as Polars will, somewhat less patiently: a caller's query has to fit around it.
fn room_for_a_query_around(sql: &str) -> Result<(), ConditionError> {
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
