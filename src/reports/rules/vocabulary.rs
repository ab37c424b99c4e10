//! Checks the words of a condition before it is parsed.
//!
//! sqlparser reads all dialects at once: data types, lambdas, queries, hints. Words that a condition cannot use never reach
//! sqlparser. So its result has only a few kinds of expressions, and this program can report a wrong word with its position and in
//! simple terms.

use sqlparser::ast::Ident;
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

use super::error::{ConditionError, Place, quoted};
use super::names::Names;

/// The dialect that Polars reads, with one difference: for Polars `/*! … */` is code, here it is a comment.
#[derive(Debug)]
pub(super) struct PlainDialect;

impl Dialect for PlainDialect {
    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || matches!(character, '_' | '$')
    }
}

const KEYWORDS: &[&str] =
    &["AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ILIKE", "IS", "NULL", "TRUE", "FALSE", "CASE", "WHEN", "THEN", "ELSE", "END"];

/// Keywords that are allowed only before a literal, as in `DATE '2026-10-01'`.
const LITERAL_KEYWORDS: &[&str] = &["INTERVAL", "DATE", "TIMESTAMP"];

const UNITS: &[&str] = &[
    "WEEK", "WEEKS", "DAY", "DAYS", "HOUR", "HOURS", "MINUTE", "MINUTES", "SECOND", "SECONDS", "MONTH", "MONTHS", "QUARTER", "QUARTERS",
    "YEAR", "YEARS",
];

const FUNCTIONS: &[&str] = &["COALESCE", "LOWER", "UPPER", "LENGTH", "ABS"];

const AGGREGATES: &[&str] =
    &["ARRAY_AGG", "AVG", "COUNT", "FIRST", "LAST", "MAX", "MEDIAN", "MIN", "STDDEV", "STRING_AGG", "SUM", "VARIANCE"];

const QUERY_WORDS: &[&str] = &[
    "ALL",
    "ANY",
    "EXCEPT",
    "EXISTS",
    "FROM",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "JOIN",
    "LATERAL",
    "LIMIT",
    "ORDER",
    "QUALIFY",
    "SELECT",
    "SOME",
    "TABLE",
    "UNION",
    "UNNEST",
    "VALUES",
    "WHERE",
    "WITH",
];

const CASTS: &[&str] = &["CAST", "CONVERT", "SAFE_CAST", "TRY_CAST", "TRY_CONVERT"];

const WINDOW_WORDS: &[&str] = &["FILTER", "OVER", "PARTITION", "WINDOW", "WITHIN"];

const OTHER_WORDS: &[&str] = &[
    "ARRAY",
    "AS",
    "COLLATE",
    "DISTINCT",
    "ESCAPE",
    "INTERPOLATE",
    "MAP",
    "PRIOR",
    "REGEXP",
    "RLIKE",
    "SIMILAR",
    "STRUCT",
    "UNKNOWN",
    "XOR",
];

const NO_QUERY: &str = "a condition is one expression about one contact, and cannot contain a query";
const NO_OTHER: &str = "a condition may use AND, OR, NOT, comparisons, BETWEEN, IN, LIKE, ILIKE, IS NULL, IS TRUE, + - * /, CASE, COALESCE, LOWER, UPPER, LENGTH and ABS";

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Removes the space between words. A comment is an error: it could hide half of the condition.
pub(super) fn without_space(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, ConditionError> {
    let mut words = Vec::new();
    for token in tokens {
        match token.token {
            Token::Whitespace(Whitespace::SingleLineComment { ref prefix, .. }) => {
                return Err(refused(&token, prefix, "a comment could hide a part of it; TOML has comments of its own"));
            }
            Token::Whitespace(Whitespace::MultiLineComment(_)) => {
                return Err(refused(&token, "/*", "a comment could hide a part of it; TOML has comments of its own"));
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => words.push(token),
        }
    }
    Ok(words)
}

/// Refuses every word that a condition cannot use, and every unknown name.
pub(super) fn check(tokens: &[TokenWithSpan], names: &Names<'_>) -> Result<(), ConditionError> {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += match &token.token {
            Token::Word(_) => check_name(tokens, at, names)?,
            other => {
                check_sign(token, other)?;
                1
            }
        };
    }
    Ok(())
}

fn check_sign(token: &TokenWithSpan, sign: &Token) -> Result<(), ConditionError> {
    let why = match sign {
        Token::Number(_, false) | Token::SingleQuotedString(_) => return Ok(()),
        Token::Comma | Token::Period | Token::LParen | Token::RParen => return Ok(()),
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq => return Ok(()),
        Token::Plus | Token::Minus | Token::Mul | Token::Div => return Ok(()),
        Token::SemiColon => "a condition is one expression, so it has no `;`",
        Token::Placeholder(_) | Token::AtSign => "nothing would fill a placeholder",
        Token::DoubleColon => "a condition has no casts; compare with a value of the column's own type",
        Token::DoubleEq => "equal is written with one `=`",
        Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_) => "a text is written in single quotes, and a quote in it twice",
        _ => NO_OTHER,
    };
    match sign {
        Token::Char(character) => Err(refused(token, character.escape_debug(), why)),
        other => Err(refused(token, other, why)),
    }
}

/// Checks the name, keyword or path of names that begins here. Returns the number of its tokens.
fn check_name(tokens: &[TokenWithSpan], at: usize, names: &Names<'_>) -> Result<usize, ConditionError> {
    let path = path(&tokens[at..]);
    let taken = 2 * path.len() - 1;
    let token = &tokens[at];
    let before = |steps: usize| at.checked_sub(steps).and_then(|at| tokens.get(at)).map(|token| &token.token);
    let after = tokens.get(at + taken).map(|token| &token.token);
    let calls = after == Some(&Token::LParen);
    let word = match path.as_slice() {
        [name] if name.quote_style.is_none() => name.value.to_uppercase(),
        _ if calls => return Err(refused(token, spelled(&path), NO_OTHER)),
        _ => return names.resolve(&path).map(|_| taken),
    };
    let is_in = |words: &[&str]| words.contains(&word.as_str());

    if is_in(KEYWORDS) || (calls && is_in(FUNCTIONS)) {
        return Ok(taken);
    }
    if is_in(LITERAL_KEYWORDS) && matches!(after, Some(Token::SingleQuotedString(_) | Token::Number(..))) {
        return Ok(taken);
    }
    if is_in(UNITS) && before(2).is_some_and(is_interval) {
        return Ok(taken);
    }
    let why = if is_in(QUERY_WORDS) {
        NO_QUERY
    } else if is_in(CASTS) {
        "a condition has no casts; compare with a value of the column's own type"
    } else if is_in(WINDOW_WORDS) {
        "it sees one contact, and no window of rows"
    } else if calls && is_in(AGGREGATES) {
        "it sees one contact, so there is nothing to aggregate"
    } else if calls || is_in(OTHER_WORDS) {
        NO_OTHER
    } else {
        return names.resolve(&path).map(|_| taken);
    };
    Err(refused(token, spelled(&path), why))
}

/// The path of names at the start of these tokens, such as `a.b.c`.
fn path(tokens: &[TokenWithSpan]) -> Vec<Ident> {
    let mut path = Vec::new();
    for pair in tokens.chunks(2) {
        let Token::Word(word) = &pair[0].token else { break };
        path.push(name(word, &pair[0]));
        if pair.get(1).is_none_or(|token| token.token != Token::Period) {
            break;
        }
    }
    path
}

fn name(word: &Word, token: &TokenWithSpan) -> Ident {
    Ident { value: word.value.clone(), quote_style: word.quote_style, span: token.span }
}

fn is_interval(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("INTERVAL"))
}

fn spelled(path: &[Ident]) -> String {
    path.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(".")
}

fn refused(token: &TokenWithSpan, what: impl std::fmt::Display, why: &'static str) -> ConditionError {
    ConditionError::Refused { place: Place::from(token.span.start), what: quoted(what), why }
}
