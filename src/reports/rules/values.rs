//! The values that a condition itself contains: texts, numbers, instants, intervals, NULL.

use sqlparser::ast::{Expr, Interval, UnaryOperator, Value};

use super::error::ConditionError;
use super::fragments::{Constant, Fragment};
use super::kinds::{INSTANT, Kind};
use super::times;

pub(super) const USE_IS_NULL: &str = "no comparison with NULL is true; write IS NULL or IS NOT NULL";
pub(super) const INSTANT_FORMS: &str = "an instant is written like '2026-10-01', '2026-10-01T08:00:00Z' or DATE '2026-10-01'";

pub(super) fn literal(expression: &Expr, value: &Value, wanted: Kind) -> Result<Fragment, ConditionError> {
    match (value, wanted) {
        (Value::Boolean(true), _) => Ok(Fragment::atom("TRUE")),
        (Value::Boolean(false), _) => Ok(Fragment::atom("FALSE")),
        (Value::SingleQuotedString(text), INSTANT) => times::instant(text)
            .map(|micros| Fragment::constant(Constant::Micros(micros)))
            .ok_or_else(|| ConditionError::value(expression, INSTANT_FORMS)),
        (Value::SingleQuotedString(text), _) => Ok(Fragment::text(text)),
        (Value::Number(digits, _), _) => digits
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| Fragment::constant(Constant::Number(number)))
            .ok_or_else(|| ConditionError::value(expression, "the number is out of range")),
        _ => Err(ConditionError::value(expression, USE_IS_NULL)),
    }
}

/// Reads `INTERVAL '90 days'`, `INTERVAL '90' DAY` and `INTERVAL 90 DAY`.
pub(super) fn span(expression: &Expr, interval: &Interval) -> Result<Fragment, ConditionError> {
    let wrong = |why| ConditionError::value(expression, why);
    let is_odd = interval.leading_precision.is_some() || interval.last_field.is_some() || interval.fractional_seconds_precision.is_some();
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) if !is_odd => text,
            _ => return Err(wrong(times::HOW)),
        },
        _ => return Err(wrong(times::HOW)),
    };
    let text = match &interval.leading_field {
        Some(unit) => format!("{text} {unit}"),
        None => text.clone(),
    };
    times::span(&text).map(|micros| Fragment::constant(Constant::Micros(micros))).map_err(wrong)
}

pub(super) fn is_null(expression: &Expr) -> bool {
    match expression {
        Expr::Nested(inner) => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

pub(super) fn is_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Value(value) => value.value != Value::Null,
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_literal(expr),
        _ => false,
    }
}
