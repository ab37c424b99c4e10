//! The search language of 2.x: how a request body is parsed, and what it matches.

pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod sort;

use serde_json::Value;

use super::api_error::ApiError;
use super::calendar::{Zone, day_around, utc_day_around};

/// The largest number of filters in one group.
const MAX_FILTERS: usize = 15;
/// The largest number of groups inside each other.
const MAX_LEVELS: usize = 2;

/// The type of a field. It decides which operators are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Integers and floats alike.
    Number,
    Boolean,
    Date,
    /// A custom attribute of type date. From 2.17 on, it is compared in another way than other dates.
    CustomDate,
    /// Text with the operators `=` and `!=` only.
    Tag,
}

/// How dates are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dates<'a> {
    /// Dates of contacts are compared by calendar day of this zone, with `=`, `>` and `<` only.
    Days(&'a Zone),
    /// From 2.17 on, dates of contacts are compared to the second, and custom dates by days of UTC. It is assumed that the operators are
    /// still `=`, `>` and `<` only. Both `>` and `<` exclude the value itself, or its whole day.
    ExactSeconds,
    /// Dates of conversations are compared to the second, with all operators. Both `>` and `<` exclude the value itself.
    ///
    /// This is an assumption: Intercom's table calls `>` "greater or equal", but users found that `<` excludes the value. So a client must
    /// search a range that is a second wider.
    Seconds,
}

/// A search over fields `F`.
#[derive(Debug)]
pub(crate) enum Query<F> {
    Filter(F, Test),
    All(Vec<Query<F>>),
    Any(Vec<Query<F>>),
}

/// One comparison. A negated comparison also matches entries without a value (an assumption about Intercom).
#[derive(Debug)]
pub(crate) struct Test {
    check: Check,
    negated: bool,
}

#[derive(Debug)]
enum Check {
    Unset,
    OneOfTexts(Vec<String>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    OneOfNumbers(Vec<f64>),
    OneOfBooleans(Vec<bool>),
    /// Dates from the start (included) to the end (excluded).
    Between(i64, i64),
    Above {
        limit: f64,
        inclusive: bool,
    },
    Below {
        limit: f64,
        inclusive: bool,
    },
}

/// A value of a field of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldValue<'a> {
    Text(&'a str),
    Number(f64),
    Boolean(bool),
    Date(i64),
}

impl<F: Copy> Query<F> {
    /// Whether an entry matches. `test` says whether one field of the entry passes one test.
    pub(crate) fn matches(&self, test: &impl Fn(F, &Test) -> bool) -> bool {
        match self {
            Query::Filter(field, wanted) => test(*field, wanted),
            Query::All(parts) => parts.iter().all(|part| part.matches(test)),
            Query::Any(parts) => parts.iter().any(|part| part.matches(test)),
        }
    }

    /// The filters that every match must pass: the only filter, or the filters directly in the outermost AND.
    pub(crate) fn required(&self) -> Vec<(F, &Test)> {
        match self {
            Query::Filter(field, test) => vec![(*field, test)],
            Query::All(parts) => {
                parts.iter().flat_map(|part| if let Query::Filter(field, test) = part { Some((*field, test)) } else { None }).collect()
            }
            Query::Any(_) => Vec::new(),
        }
    }
}

impl Test {
    /// Whether the values of a field pass.
    pub(crate) fn accepts<'a>(&self, values: impl IntoIterator<Item = FieldValue<'a>>) -> bool {
        let mut values = values.into_iter();
        let found = match self.check {
            Check::Unset => values.next().is_none(),
            _ => values.any(|value| self.check.accepts(value)),
        };
        found != self.negated
    }

    /// The text that the field must be equal to. `None` if the test is of another kind or allows several texts.
    pub(crate) fn single_text(&self) -> Option<&str> {
        match &self.check {
            Check::OneOfTexts(texts) if !self.negated && texts.len() == 1 => Some(&texts[0]),
            _ => None,
        }
    }

    /// The dates that pass, from the start (included) to the end (excluded). `None` if the test is of another kind.
    pub(crate) fn date_range(&self) -> Option<(i64, i64)> {
        match self.check {
            Check::Between(from, until) if !self.negated => Some((from, until)),
            _ => None,
        }
    }
}

impl Check {
    fn accepts(&self, value: FieldValue<'_>) -> bool {
        match (self, value) {
            (Check::OneOfTexts(texts), FieldValue::Text(value)) => texts.iter().any(|text| text == value),
            (Check::Contains(part), FieldValue::Text(value)) => value.to_lowercase().contains(part),
            (Check::StartsWith(part), FieldValue::Text(value)) => value.to_lowercase().starts_with(part),
            (Check::EndsWith(part), FieldValue::Text(value)) => value.to_lowercase().ends_with(part),
            (Check::OneOfNumbers(numbers), FieldValue::Number(value)) => numbers.contains(&value),
            (Check::OneOfBooleans(booleans), FieldValue::Boolean(value)) => booleans.contains(&value),
            (Check::Between(from, until), FieldValue::Date(value)) => (*from..*until).contains(&value),
            (Check::Above { limit, inclusive }, FieldValue::Number(value)) => value > *limit || (*inclusive && value == *limit),
            (Check::Below { limit, inclusive }, FieldValue::Number(value)) => value < *limit || (*inclusive && value == *limit),
            _ => false,
        }
    }
}

/// Parses the `query` of a search body. `find` looks up fields by name.
///
/// # Errors
/// 400 `parameter_invalid`, with the part that is refused.
pub(crate) fn parse<F>(query: Option<&Value>, dates: Dates<'_>, find: &impl Fn(&str) -> Option<(F, Kind)>) -> Result<Query<F>, ApiError> {
    match query {
        None | Some(Value::Null) => Err(ApiError::parameter_invalid("query is required")),
        Some(query) => part(query, dates, find, 0),
    }
}

fn part<F>(query: &Value, dates: Dates<'_>, find: &impl Fn(&str) -> Option<(F, Kind)>, level: usize) -> Result<Query<F>, ApiError> {
    let Some(query) = query.as_object() else {
        return Err(ApiError::parameter_invalid("each filter must be an object with field, operator and value"));
    };
    let Some(operator) = query.get("operator").and_then(Value::as_str) else {
        return Err(ApiError::parameter_invalid("operator is required"));
    };
    let value = query.get("value").ok_or_else(|| ApiError::parameter_invalid("value is required"))?;
    if let Some(field) = query.get("field") {
        let name = field.as_str().ok_or_else(|| ApiError::parameter_invalid("field must be a string"))?;
        let (field, kind) = find(name).ok_or_else(|| ApiError::parameter_invalid(format!("'{name}' is not a searchable field")))?;
        return Ok(Query::Filter(field, test(name, kind, operator, value, dates)?));
    }
    if !matches!(operator, "AND" | "OR") {
        return Err(ApiError::parameter_invalid(format!("'{operator}' is not an operator of a group: use AND or OR")));
    }
    let Some(parts) = value.as_array() else {
        return Err(ApiError::parameter_invalid(format!("the value of {operator} must be an array of filters")));
    };
    if level == MAX_LEVELS {
        return Err(ApiError::parameter_invalid(format!("filters can be nested at most {MAX_LEVELS} levels deep")));
    }
    if parts.is_empty() || parts.len() > MAX_FILTERS {
        return Err(ApiError::parameter_invalid(format!("{operator} takes 1 to {MAX_FILTERS} filters, not {}", parts.len())));
    }
    let parts = parts.iter().map(|inner| part(inner, dates, find, level + 1)).collect::<Result<_, _>>()?;
    Ok(if operator == "AND" { Query::All(parts) } else { Query::Any(parts) })
}

fn test(name: &str, kind: Kind, operator: &str, value: &Value, dates: Dates<'_>) -> Result<Test, ApiError> {
    let known: &[&str] = match (kind, dates) {
        (Kind::Text, _) => &["=", "!=", "IN", "NIN", "~", "!~", "^", "$"],
        (Kind::Boolean, _) => &["=", "!=", "IN", "NIN"],
        (Kind::Number, _) => &["=", "!=", "IN", "NIN", ">", "<", ">=", "<="],
        (Kind::Tag, _) => &["=", "!="],
        (Kind::Date | Kind::CustomDate, Dates::Days(_) | Dates::ExactSeconds) => &["=", ">", "<"],
        (Kind::Date | Kind::CustomDate, Dates::Seconds) => &["=", "!=", ">", "<", ">=", "<="],
    };
    if !known.contains(&operator) {
        return Err(ApiError::parameter_invalid(format!(
            "operator '{operator}' is not supported for field '{name}': use one of {}",
            known.join(" ")
        )));
    }
    let negated = matches!(operator, "!=" | "NIN" | "!~");
    let list = matches!(operator, "IN" | "NIN");
    let values: Vec<&Value> = match value {
        Value::Array(values) if list => values.iter().collect(),
        _ if list => return Err(ApiError::parameter_invalid(format!("operator '{operator}' needs an array of values for field '{name}'"))),
        // Assumption: null matches entries without a value.
        Value::Null if matches!(operator, "=" | "!=") => return Ok(Test { check: Check::Unset, negated }),
        value => vec![value],
    };
    let wrong = |value: &Value, what: &str| {
        let mut shown = value.to_string();
        shown.truncate(shown.char_indices().nth(60).map_or(shown.len(), |(end, _)| end));
        ApiError::parameter_invalid(format!("value {shown} is not {what}, as field '{name}' needs"))
    };
    let check = match kind {
        Kind::Text | Kind::Tag => {
            let texts: Vec<String> =
                values.iter().map(|value| text(value).ok_or_else(|| wrong(value, "a string"))).collect::<Result<_, _>>()?;
            // Assumption: equality is case-sensitive, partial matches are not.
            match (operator, texts.first()) {
                ("~" | "!~", Some(part)) => Check::Contains(part.to_lowercase()),
                ("^", Some(part)) => Check::StartsWith(part.to_lowercase()),
                ("$", Some(part)) => Check::EndsWith(part.to_lowercase()),
                _ => Check::OneOfTexts(texts),
            }
        }
        Kind::Boolean => {
            let booleans = values.iter().map(|value| boolean(value).ok_or_else(|| wrong(value, "a boolean")));
            Check::OneOfBooleans(booleans.collect::<Result<_, _>>()?)
        }
        Kind::Number => {
            let numbers: Vec<f64> =
                values.iter().map(|value| number(value).ok_or_else(|| wrong(value, "a number"))).collect::<Result<_, _>>()?;
            match (operator, numbers.first()) {
                (">" | ">=", Some(limit)) => Check::Above { limit: *limit, inclusive: operator == ">=" },
                ("<" | "<=", Some(limit)) => Check::Below { limit: *limit, inclusive: operator == "<=" },
                _ => Check::OneOfNumbers(numbers),
            }
        }
        Kind::Date | Kind::CustomDate => {
            let instant = values.first().and_then(|value| date(value)).ok_or_else(|| wrong(value, "a Unix timestamp"))?;
            let second = (instant, instant.saturating_add(1));
            let (start, end) = match (kind, dates) {
                // A value beyond the calendar is not extended to a day. The result is the same, because all dates are before the value or
                // all are after it.
                (_, Dates::Days(zone)) => day_around(zone, instant).unwrap_or(second),
                (Kind::CustomDate, Dates::ExactSeconds) => utc_day_around(instant).unwrap_or(second),
                (_, Dates::ExactSeconds | Dates::Seconds) => second,
            };
            match operator {
                ">" => Check::Between(end, i64::MAX),
                ">=" => Check::Between(start, i64::MAX),
                "<" => Check::Between(i64::MIN, start),
                "<=" => Check::Between(i64::MIN, end),
                _ => Check::Between(start, end),
            }
        }
    };
    Ok(Test { check, negated })
}

/// Reads a text. Ids are often sent as numbers, so numbers are accepted too.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Reads a date. It may be a number or, as in Intercom's own example, decimal text.
fn date(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::json;

    use super::*;

    static DUBLIN: LazyLock<Zone> = LazyLock::new(Zone::dublin);

    fn dublin() -> Dates<'static> {
        Dates::Days(&DUBLIN)
    }

    fn find(name: &str) -> Option<(&'static str, Kind)> {
        match name {
            "name" => Some(("name", Kind::Text)),
            "tag_id" => Some(("tag_id", Kind::Tag)),
            "seats" => Some(("seats", Kind::Number)),
            "bounced" => Some(("bounced", Kind::Boolean)),
            "created_at" => Some(("created_at", Kind::Date)),
            "trial_ends_at" => Some(("trial_ends_at", Kind::CustomDate)),
            _ => None,
        }
    }

    fn refusal(query: Value) -> String {
        let error = parse(Some(&query), dublin(), &find).err().unwrap_or_else(|| panic!("{query} was accepted"));
        assert_eq!((error.status.as_u16(), error.code), (400, "parameter_invalid"));
        error.message
    }

    fn accepts(field: &str, operator: &str, value: Value, own: FieldValue<'_>, dates: Dates<'_>) -> bool {
        let query = json!({"field": field, "operator": operator, "value": value});
        parse(Some(&query), dates, &find).unwrap().matches(&|_, test| test.accepts([own]))
    }

    #[test]
    fn operators_outside_a_field_s_type_are_refused() {
        for (field, operators) in [
            ("tag_id", vec!["IN", "NIN", "~", "^", "$", ">", "contains"]),
            ("created_at", vec!["!=", ">=", "<=", "IN", "NIN", "~"]),
            ("name", vec![">", "<", ">=", "<="]),
            ("bounced", vec![">", "~"]),
            ("seats", vec!["~", "^", "$"]),
        ] {
            for operator in operators {
                let message = refusal(json!({"field": field, "operator": operator, "value": ["1"]}));
                assert!(message.contains(&format!("operator '{operator}' is not supported for field '{field}'")), "{message}");
            }
        }
    }

    #[test]
    fn invalid_searches_are_refused() {
        assert_eq!(refusal(json!([])), "each filter must be an object with field, operator and value");
        assert_eq!(refusal(json!({"field": "name", "value": 1})), "operator is required");
        assert_eq!(refusal(json!({"field": "name", "operator": "="})), "value is required");
        assert_eq!(refusal(json!({"field": "shoe", "operator": "=", "value": 1})), "'shoe' is not a searchable field");
        assert_eq!(refusal(json!({"operator": "XOR", "value": []})), "'XOR' is not an operator of a group: use AND or OR");
        assert_eq!(refusal(json!({"operator": "AND", "value": 7})), "the value of AND must be an array of filters");
        assert!(refusal(json!({"field": "created_at", "operator": ">", "value": "foorbar"})).contains("is not a Unix timestamp"));
        assert!(refusal(json!({"field": "seats", "operator": "=", "value": "NaN"})).contains("is not a number"));
        assert!(refusal(json!({"field": "name", "operator": "IN", "value": "x"})).contains("needs an array"));
    }

    #[test]
    fn groups_hold_fifteen_filters_and_two_levels() {
        let filter = json!({"field": "name", "operator": "=", "value": "x"});
        let group = |inner: &Value, count: usize| json!({"operator": "AND", "value": vec![inner.clone(); count]});
        assert!(parse(Some(&group(&group(&filter, 15), 15)), dublin(), &find).is_ok());
        assert!(refusal(group(&filter, 16)).contains("1 to 15 filters, not 16"));
        assert!(refusal(group(&filter, 0)).contains("1 to 15 filters, not 0"));
        assert!(refusal(group(&group(&group(&filter, 1), 1), 1)).contains("at most 2 levels"));
    }

    #[test]
    fn contact_dates_are_days_of_the_workspace() {
        // 25 October 2026 lasts 25 hours in Dublin: from 2026-10-24T23:00Z to 2026-10-26T00:00Z.
        let (start, end, noon) = (1_792_882_800, 1_792_972_800, 1_792_929_600);
        let holds = |operator, at| accepts("created_at", operator, json!(noon), FieldValue::Date(at), dublin());
        assert_eq!([start - 1, start, end - 1, end].map(|at| holds("=", at)), [false, true, true, false]);
        assert_eq!([start, noon + 1, end - 1, end].map(|at| holds(">", at)), [false, false, false, true]);
        assert_eq!([start - 1, start, noon - 1].map(|at| holds("<", at)), [true, false, false]);
        let example =
            accepts("created_at", ">", json!("1577869200"), FieldValue::Date(1_577_923_200), Dates::Days(&"UTC".parse().unwrap()));
        assert!(example, "Intercom's own example: 2020-01-01 09:00 with > begins on 2020-01-02 00:00");
    }

    #[test]
    fn contact_dates_are_seconds_from_2_17_and_custom_dates_are_days_of_utc() {
        let holds = |field, operator, at| accepts(field, operator, json!(1_792_929_600), FieldValue::Date(at), Dates::ExactSeconds);
        let noon = 1_792_929_600;
        assert_eq!(
            [">", "<", "="].map(|operator| [noon - 1, noon, noon + 1].map(|at| holds("created_at", operator, at))),
            [[false, false, true], [true, false, false], [false, true, false]]
        );
        // The start and the end of 2026-10-25 in UTC. In Dublin, this day begins an hour earlier.
        let (start, end) = (1_792_886_400, 1_792_972_800);
        let around = [start - 1, start, end - 1, end];
        assert_eq!(
            [">", "<", "="].map(|operator| around.map(|at| holds("trial_ends_at", operator, at))),
            [[false, false, false, true], [true, false, false, false], [false, true, true, false]]
        );
        for (field, operator) in
            ["created_at", "trial_ends_at"].iter().flat_map(|field| [">=", "<=", "!="].map(|operator| (field, operator)))
        {
            let query = json!({"field": field, "operator": operator, "value": noon});
            assert_eq!(parse(Some(&query), Dates::ExactSeconds, &find).err().unwrap().code, "parameter_invalid", "{field} {operator}");
        }
    }

    #[test]
    fn conversation_dates_are_seconds() {
        let holds = |operator, at| accepts("created_at", operator, json!(100), FieldValue::Date(at), Dates::Seconds);
        assert_eq!(
            [">", "<", ">=", "<=", "=", "!="].map(|operator| [99, 100, 101].map(|at| holds(operator, at))),
            [
                [false, false, true],
                [true, false, false],
                [false, true, true],
                [true, true, false],
                [false, true, false],
                [true, false, true],
            ]
        );
    }

    #[test]
    fn extreme_dates_do_not_panic() {
        for value in [json!(i64::MAX), json!(i64::MIN), json!(u64::MAX), json!(1e300), json!(1_790_000_000_000i64)] {
            for operator in ["=", ">", "<"] {
                for (field, dates) in [("created_at", dublin()), ("trial_ends_at", Dates::ExactSeconds)] {
                    accepts(field, operator, value.clone(), FieldValue::Date(1_790_000_000), dates);
                }
            }
        }
    }

    #[test]
    fn negations_match_entries_without_a_value() {
        let query = parse(Some(&json!({"field": "name", "operator": "!=", "value": "x"})), dublin(), &find).unwrap();
        assert!(query.matches(&|_, test| test.accepts([])));
        let query = parse(Some(&json!({"field": "name", "operator": "=", "value": null})), dublin(), &find).unwrap();
        assert!(query.matches(&|_, test| test.accepts([])) && !query.matches(&|_, test| test.accepts([FieldValue::Text("")])));
    }
}
