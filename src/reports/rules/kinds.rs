//! The kinds of a condition's parts, and which of them can be combined.

use sqlparser::ast::BinaryOperator;

use super::FactKind;
use super::fragments::Constant;

/// The kind of a part of a condition: the kind of a fact, or a span of time. No column holds a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fact(FactKind),
    Span,
}

pub(super) const TEXT: Kind = Kind::Fact(FactKind::Text);
pub(super) const NUMBER: Kind = Kind::Fact(FactKind::Number);
pub(super) const FLAG: Kind = Kind::Fact(FactKind::Flag);
pub(super) const INSTANT: Kind = Kind::Fact(FactKind::Instant);

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Fact(kind) => kind.as_str(),
            Kind::Span => "an interval",
        }
    }
}

/// The kind of a part, as far as the part alone shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    Known(Kind),
    /// A text literal. It is an instant if it is compared with an instant, else a text.
    Literal,
    /// A custom attribute. It can be of any kind that is needed.
    Open,
}

impl Guess {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Guess::Known(kind) => kind.as_str(),
            Guess::Literal => "text",
            Guess::Open => "a custom attribute",
        }
    }

    pub(super) fn fits(self, wanted: Kind) -> bool {
        match self {
            Guess::Known(kind) => kind == wanted,
            Guess::Literal => matches!(wanted, TEXT | INSTANT),
            Guess::Open => wanted != Kind::Span,
        }
    }
}

pub(super) enum Operator {
    Logic(&'static str),
    Comparison(&'static str),
    Arithmetic,
}

impl Operator {
    pub(super) fn of(operator: &BinaryOperator) -> Option<Operator> {
        Some(match operator {
            BinaryOperator::And => Operator::Logic("AND"),
            BinaryOperator::Or => Operator::Logic("OR"),
            BinaryOperator::Eq => Operator::Comparison("="),
            BinaryOperator::NotEq => Operator::Comparison("<>"),
            BinaryOperator::Lt => Operator::Comparison("<"),
            BinaryOperator::LtEq => Operator::Comparison("<="),
            BinaryOperator::Gt => Operator::Comparison(">"),
            BinaryOperator::GtEq => Operator::Comparison(">="),
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide => Operator::Arithmetic,
            _ => return None,
        })
    }
}

/// The kinds of a calculation's operands and of its result.
pub(super) struct Arithmetic {
    pub(super) left: Kind,
    pub(super) right: Kind,
    pub(super) result: Kind,
}

impl Arithmetic {
    pub(super) fn of(op: &BinaryOperator, left: Guess, right: Guess) -> Option<Arithmetic> {
        use Guess::{Known, Literal, Open};
        let is_sum = matches!(op, BinaryOperator::Plus | BinaryOperator::Minus);
        let is_plus = *op == BinaryOperator::Plus;
        let kinds = |left, right, result| Some(Arithmetic { left, right, result });
        match (left, right) {
            (Known(NUMBER) | Open, Known(NUMBER) | Open) => kinds(NUMBER, NUMBER, NUMBER),
            (Known(Kind::Span), Known(Kind::Span)) if is_sum => kinds(Kind::Span, Kind::Span, Kind::Span),
            (Known(INSTANT) | Literal | Open, Known(Kind::Span)) if is_sum => kinds(INSTANT, Kind::Span, INSTANT),
            (Known(Kind::Span), Known(INSTANT) | Literal | Open) if is_plus => kinds(Kind::Span, INSTANT, INSTANT),
            (Known(INSTANT), Known(INSTANT) | Literal | Open) if is_sum && !is_plus => kinds(INSTANT, INSTANT, Kind::Span),
            (Literal | Open, Known(INSTANT)) if is_sum && !is_plus => kinds(INSTANT, INSTANT, Kind::Span),
            _ => None,
        }
    }
}

pub(super) fn calculated(left: Constant, op: &BinaryOperator, right: Constant) -> Option<Constant> {
    match (left, right) {
        (Constant::Micros(left), Constant::Micros(right)) => {
            let micros = if *op == BinaryOperator::Plus { left.checked_add(right) } else { left.checked_sub(right) };
            micros.map(Constant::Micros)
        }
        (Constant::Number(left), Constant::Number(right)) => {
            let number = match op {
                BinaryOperator::Plus => left + right,
                BinaryOperator::Minus => left - right,
                BinaryOperator::Multiply => left * right,
                _ => left / right,
            };
            number.is_finite().then_some(Constant::Number(number))
        }
        _ => None,
    }
}
