//! Checks the types of a condition and rewrites it as SQL over the columns of the facts.
//!
//! Every part is visited twice. `guess` finds its kind, if the part itself shows the kind. `fragment` writes the part as the kind
//! that is needed there. So the kind of a custom attribute comes from what the attribute is compared with.

use sqlparser::ast::{BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArguments, Ident, UnaryOperator, Value, ValueWithSpan};

use super::error::{ConditionError, Place, quoted};
use super::fragments::{Constant, Fragment, Precedence, Size, chain, literals};
use super::kinds::{Arithmetic, FLAG, Guess, INSTANT, Kind, NUMBER, Operator, TEXT, calculated};
use super::names::{Named, Names};
use super::size::plain_argument;
use super::values::{INSTANT_FORMS, USE_IS_NULL, is_literal, is_null, literal, span};
use super::{Reference, times};
use domain::Choice;

/// The maximum number of characters of a pattern. A pattern becomes a regular expression, and regular expressions have limits.
const MAX_PATTERN: usize = 500;

pub(super) struct Rewriter<'a> {
    names: Names<'a>,
    references: Vec<Reference>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(names: Names<'a>) -> Rewriter<'a> {
        Rewriter { names, references: Vec::new() }
    }

    /// The SQL of a whole condition, and its references.
    pub(super) fn condition(mut self, expression: &Expr) -> Result<(String, Vec<Reference>), ConditionError> {
        let fragment = self.fragment(expression, FLAG)?;
        Ok((fragment.finished(), self.references))
    }

    fn guess(&self, expression: &Expr) -> Result<Guess, ConditionError> {
        let known = |kind| Ok(Guess::Known(kind));
        match expression {
            Expr::Nested(inner) => self.guess(inner),
            Expr::Identifier(name) => self.guess_name(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(path) => self.guess_name(path),
            Expr::Value(value) => match &value.value {
                Value::Number(..) => known(NUMBER),
                Value::Boolean(_) => known(FLAG),
                Value::SingleQuotedString(_) => Ok(Guess::Literal),
                Value::Null => Err(ConditionError::value(expression, USE_IS_NULL)),
                _ => Err(ConditionError::refused(expression, "a literal is a number, a text in single quotes, TRUE or FALSE")),
            },
            Expr::TypedString(_) => known(INSTANT),
            Expr::Interval(_) => known(Kind::Span),
            Expr::UnaryOp { op: UnaryOperator::Not, .. } => known(FLAG),
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => match self.guess(expr)? {
                Guess::Known(Kind::Span) => known(Kind::Span),
                _ => known(NUMBER),
            },
            Expr::BinaryOp { left, op, right } => match Operator::of(op) {
                Some(Operator::Logic(_) | Operator::Comparison(_)) => known(FLAG),
                Some(Operator::Arithmetic) => Ok(Guess::Known(self.arithmetic(left, op, right)?.result)),
                None => Err(ConditionError::refused(expression, "its operators are AND, OR, = <> < <= > >= and + - * /")),
            },
            Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Between { .. } | Expr::InList { .. } => known(FLAG),
            Expr::IsTrue(_) | Expr::IsNotTrue(_) | Expr::IsFalse(_) | Expr::IsNotFalse(_) => known(FLAG),
            Expr::Like { .. } | Expr::ILike { .. } => known(FLAG),
            Expr::Case { conditions, else_result, .. } => self.unify(results(conditions, else_result.as_deref())),
            Expr::Function(function) => match function.name.to_string().to_uppercase().as_str() {
                "COALESCE" => self.unify(arguments(expression, function)?),
                "LOWER" | "UPPER" => known(TEXT),
                "LENGTH" | "ABS" => known(NUMBER),
                _ => Err(ConditionError::refused(expression, "a condition may call COALESCE, LOWER, UPPER, LENGTH and ABS")),
            },
            _ => Err(ConditionError::refused(expression, "it is made of comparisons, AND, OR and NOT")),
        }
    }

    fn guess_name(&self, path: &[Ident]) -> Result<Guess, ConditionError> {
        Ok(self.names.resolve(path)?.kind().map_or(Guess::Open, |kind| Guess::Known(Kind::Fact(kind))))
    }

    /// The common kind of parts that are compared with each other.
    fn unify<'e>(&self, parts: impl IntoIterator<Item = &'e Expr>) -> Result<Guess, ConditionError> {
        let mut together: Option<(&Expr, Guess)> = None;
        for part in parts {
            let guess = self.guess(part)?;
            let Some((first, so_far)) = together else {
                together = Some((part, guess));
                continue;
            };
            together = match (so_far, guess) {
                (Guess::Open, _) => Some((part, guess)),
                (_, Guess::Open) => together,
                (Guess::Literal, Guess::Known(kind)) if Guess::Literal.fits(kind) => Some((part, guess)),
                (Guess::Known(kind), Guess::Literal) if Guess::Literal.fits(kind) => together,
                (so_far, guess) if so_far == guess => together,
                _ => return Err(mismatch(first, so_far, part, guess, "both must be of the same kind")),
            };
        }
        Ok(together.map_or(Guess::Open, |(_, guess)| guess))
    }

    /// As [`Rewriter::unify`], but parts without a known kind are compared as text.
    fn common<'e>(&self, parts: impl IntoIterator<Item = &'e Expr>) -> Result<Kind, ConditionError> {
        Ok(match self.unify(parts)? {
            Guess::Known(kind) => kind,
            Guess::Literal | Guess::Open => TEXT,
        })
    }

    /// Writes a part as the kind that is needed there.
    fn fragment(&mut self, expression: &Expr, wanted: Kind) -> Result<Fragment, ConditionError> {
        let guess = self.guess(expression)?;
        if !guess.fits(wanted) {
            let place = Place::of(expression);
            return Err(ConditionError::Kind { place, part: quoted(expression), is: guess.as_str(), needed: wanted.as_str() });
        }
        match expression {
            Expr::Nested(inner) => self.fragment(inner, wanted),
            Expr::Identifier(name) => self.name(std::slice::from_ref(name), wanted),
            Expr::CompoundIdentifier(path) => self.name(path, wanted),
            Expr::Value(value) => literal(expression, &value.value, wanted),
            Expr::TypedString(typed) => {
                let text = match &typed.value.value {
                    Value::SingleQuotedString(text) => text,
                    _ => return Err(ConditionError::value(expression, "an instant is written as a text in single quotes")),
                };
                let micros = match typed.data_type {
                    DataType::Date => times::date(text),
                    DataType::Timestamp(None, _) => times::instant(text),
                    _ => None,
                };
                Ok(Fragment::constant(Constant::Micros(micros.ok_or_else(|| ConditionError::value(expression, INSTANT_FORMS))?)))
            }
            Expr::Interval(interval) => span(expression, interval),
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Not => not(&self.fragment(expr, FLAG)?),
                UnaryOperator::Plus => self.fragment(expr, wanted),
                _ => {
                    let operand = self.fragment(expr, wanted)?;
                    match operand.constant {
                        Some(Constant::Number(number)) => Ok(Fragment::constant(Constant::Number(-number))),
                        Some(Constant::Micros(micros)) => Ok(Fragment::constant(Constant::Micros(-micros))),
                        None => Fragment::checked(
                            format!("-{}", operand.in_parentheses_below(Precedence::Atom)),
                            Precedence::Sum,
                            Size::around([&operand]),
                        ),
                    }
                }
            },
            Expr::BinaryOp { left, op, right } => match Operator::of(op) {
                Some(Operator::Logic(word)) => {
                    let operands = self.operands(expression, op)?;
                    chain(word, operands)
                }
                Some(Operator::Comparison(sign)) => self.comparison(left, sign, right),
                _ => self.calculation(expression, left, op, right),
            },
            Expr::IsNull(expr) | Expr::IsNotNull(expr) => {
                let kind = self.common([expr.as_ref()])?;
                let operand = self.fragment(expr, kind)?;
                let word = if matches!(expression, Expr::IsNull(_)) { "NULL" } else { "NOT NULL" };
                Fragment::checked(
                    format!("{} IS {word}", operand.in_parentheses_below(Precedence::Atom)),
                    Precedence::Comparison,
                    Size::around([&operand]),
                )
            }
            // Polars compares with TRUE, so null stays null. In SQL the results of these operators are never null.
            Expr::IsTrue(expr) => self.or_when_null(expr, "FALSE"),
            Expr::IsNotFalse(expr) => self.or_when_null(expr, "TRUE"),
            Expr::IsNotTrue(expr) => not(&self.or_when_null(expr, "FALSE")?),
            Expr::IsFalse(expr) => not(&self.or_when_null(expr, "TRUE")?),
            Expr::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            Expr::InList { expr, list, negated } => self.in_list(expr, *negated, list),
            Expr::Like { negated, any, expr, pattern, escape_char } if !any && escape_char.is_none() => {
                self.like(expr, "LIKE", *negated, pattern)
            }
            Expr::ILike { negated, any, expr, pattern, escape_char } if !any && escape_char.is_none() => {
                self.like(expr, "ILIKE", *negated, pattern)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), wanted)
            }
            Expr::Function(function) => self.function(expression, function, wanted),
            _ => Err(ConditionError::refused(expression, "it is made of comparisons, AND, OR and NOT")),
        }
    }

    fn name(&mut self, path: &[Ident], wanted: Kind) -> Result<Fragment, ConditionError> {
        Ok(match (self.names.resolve(path)?, wanted) {
            (Named::Column(column), _) => Fragment::column(&column.sql_name()),
            (Named::Group(group), _) => self.reference("group", |alias| Reference::Group { group: group.clone(), alias }),
            (Named::Attribute(name), Kind::Fact(kind)) => {
                self.reference("attribute", |alias| Reference::Attribute { name: name.clone(), kind, alias })
            }
            (Named::Subscription(name), _) => self.reference("subscription", |alias| Reference::Subscription { name: name.clone(), alias }),
            (Named::Attribute(_), Kind::Span) => return Err(ConditionError::Unwritable),
        })
    }

    /// The column of a reference. A new reference gets a new alias.
    fn reference(&mut self, prefix: &str, make: impl Fn(String) -> Reference) -> Fragment {
        if let Some(known) = self.references.iter().find(|known| **known == make(known.alias().to_string())) {
            return Fragment::column(known.alias());
        }
        let number = self.references.iter().filter(|known| known.alias().starts_with(prefix)).count() + 1;
        let alias = format!("{prefix}_{number}");
        self.references.push(make(alias.clone()));
        Fragment::column(&alias)
    }

    /// The operands of a chain of one operator. Parentheses within the chain do not matter.
    fn operands(&mut self, expression: &Expr, operator: &BinaryOperator) -> Result<Vec<Fragment>, ConditionError> {
        let mut operands = Vec::new();
        let mut waiting = vec![expression];
        while let Some(part) = waiting.pop() {
            match part {
                Expr::BinaryOp { left, op, right } if op == operator => waiting.extend([right.as_ref(), left.as_ref()]),
                Expr::Nested(inner) => waiting.push(inner),
                operand => operands.push(self.fragment(operand, FLAG)?),
            }
        }
        Ok(operands)
    }

    fn comparison(&mut self, left: &Expr, sign: &str, right: &Expr) -> Result<Fragment, ConditionError> {
        let kind = self.common([left, right])?;
        if kind == FLAG && !matches!(sign, "=" | "<>") {
            return Err(ConditionError::value(left, "a flag is neither less nor greater than another, only equal or not"));
        }
        self.check_choices(&[left, right])?;
        let (left, right) = (self.fragment(left, kind)?, self.fragment(right, kind)?);
        let sql = format!("{} {sign} {}", left.in_parentheses_below(Precedence::Sum), right.in_parentheses_below(Precedence::Sum));
        Fragment::checked(sql, Precedence::Comparison, Size::around([&left, &right]))
    }

    /// Refuses to compare what a contact chose for a subscription with a text that is no choice: that would never be true.
    fn check_choices(&self, parts: &[&Expr]) -> Result<(), ConditionError> {
        let is_subscription = |path: &[Ident]| matches!(self.names.resolve(path), Ok(Named::Subscription(_)));
        if !parts.iter().any(|part| matches!(part, Expr::CompoundIdentifier(path) if is_subscription(path))) {
            return Ok(());
        }
        let is_choice = |text: &String| [Choice::OptedOut, Choice::OptedIn].map(Choice::as_str).contains(&text.as_str());
        for part in parts {
            if let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = part
                && !is_choice(text)
            {
                return Err(ConditionError::value(part, "what a contact chose for a subscription is 'opted_out', 'opted_in' or null"));
            }
        }
        Ok(())
    }

    fn between(&mut self, expr: &Expr, is_negated: bool, low: &Expr, high: &Expr) -> Result<Fragment, ConditionError> {
        let kind = self.common([expr, low, high])?;
        if kind == FLAG {
            return Err(ConditionError::value(expr, "a flag is neither less nor greater than another, only equal or not"));
        }
        let (operand, low, high) = (self.fragment(expr, kind)?, self.fragment(low, kind)?, self.fragment(high, kind)?);
        let word = if is_negated { "NOT BETWEEN" } else { "BETWEEN" };
        let sql = format!(
            "{} {word} {} AND {}",
            operand.in_parentheses_below(Precedence::Sum),
            low.in_parentheses_below(Precedence::Sum),
            high.in_parentheses_below(Precedence::Sum)
        );
        Fragment::checked(sql, Precedence::Comparison, Size::around([&operand, &operand, &low, &high]))
    }

    fn in_list(&mut self, expr: &Expr, is_negated: bool, list: &[Expr]) -> Result<Fragment, ConditionError> {
        if let Some(other) = list.iter().find(|entry| !is_literal(entry)) {
            return Err(ConditionError::value(other, "a list of IN holds literals, and none of them NULL"));
        }
        let kind = self.common(std::iter::once(expr).chain(list))?;
        self.check_choices(&std::iter::once(expr).chain(list).collect::<Vec<_>>())?;
        let operand = self.fragment(expr, kind)?;
        // Polars chooses the type of the literal by its size, and does not find the literal in a list of another type.
        if operand.constant.is_some() {
            return Err(ConditionError::value(
                expr,
                "the left side of IN must use a column; a literal gives the same result for every contact",
            ));
        }
        let entries = list.iter().map(|entry| self.fragment(entry, kind)).collect::<Result<Vec<_>, _>>()?;
        let word = if is_negated { "NOT IN" } else { "IN" };
        let sql = format!("{} {word} ({})", operand.in_parentheses_below(Precedence::Atom), literals(&entries));
        Fragment::checked(sql, Precedence::Comparison, Size::around([&operand]))
    }

    fn like(&mut self, expr: &Expr, word: &str, is_negated: bool, pattern: &Expr) -> Result<Fragment, ConditionError> {
        let text = match pattern {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => text,
                _ => return Err(ConditionError::value(pattern, PATTERN)),
            },
            _ => return Err(ConditionError::value(pattern, PATTERN)),
        };
        if text.contains('\\') {
            return Err(ConditionError::value(
                pattern,
                "a pattern has no escapes: a backslash would not keep % or _ from being a wildcard",
            ));
        }
        if text.chars().count() > MAX_PATTERN {
            return Err(ConditionError::value(pattern, "a pattern has at most 500 characters"));
        }
        let operand = self.fragment(expr, TEXT)?;
        let not = if is_negated { "NOT " } else { "" };
        let sql = format!("{} {not}{word} {}", operand.in_parentheses_below(Precedence::Atom), Fragment::text(text).sql);
        Fragment::checked(sql, Precedence::Comparison, Size::around([&operand]))
    }

    fn or_when_null(&mut self, expr: &Expr, instead: &str) -> Result<Fragment, ConditionError> {
        let flag = self.fragment(expr, FLAG)?;
        Fragment::checked(format!("COALESCE({}, {instead})", flag.sql), Precedence::Atom, Size::around([&flag]))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        else_result: Option<&Expr>,
        wanted: Kind,
    ) -> Result<Fragment, ConditionError> {
        if results(conditions, else_result).next().is_none() {
            return Err(ConditionError::Value {
                place: conditions.first().map_or(Place { line: 0, column: 0 }, |arm| Place::of(&arm.result)),
                part: "CASE".to_string(),
                why: "each of its results is NULL",
            });
        }
        let compared = match operand {
            Some(operand) => self.common(std::iter::once(operand).chain(conditions.iter().map(|arm| &arm.condition)))?,
            None => FLAG,
        };
        let operand = operand.map(|operand| self.fragment(operand, compared)).transpose()?;
        let mut sql = "CASE".to_string();
        let mut size = Size::ONE;
        if let Some(operand) = &operand {
            sql += &format!(" {}", operand.in_parentheses_below(Precedence::Atom));
            size = size.and(operand, conditions.len());
        }
        for arm in conditions {
            let (when, then) = (self.fragment(&arm.condition, compared)?, self.result(&arm.result, wanted)?);
            sql += &format!(" WHEN {} THEN {}", when.sql, then.sql);
            size = size.and(&when, 1).and(&then, 1);
        }
        if let Some(otherwise) = else_result {
            let otherwise = self.result(otherwise, wanted)?;
            sql += &format!(" ELSE {}", otherwise.sql);
            size = size.and(&otherwise, 1);
        }
        sql += " END";
        // If all results are literals, Polars would take their narrowest type.
        let sql = match wanted {
            NUMBER => format!("CAST({sql} AS DOUBLE)"),
            INSTANT | Kind::Span => format!("CAST({sql} AS BIGINT)"),
            TEXT | FLAG => sql,
        };
        Fragment::checked(sql, Precedence::Atom, size)
    }

    fn result(&mut self, expression: &Expr, wanted: Kind) -> Result<Fragment, ConditionError> {
        if is_null(expression) { Ok(Fragment::atom("NULL")) } else { self.fragment(expression, wanted) }
    }

    fn function(&mut self, expression: &Expr, function: &Function, wanted: Kind) -> Result<Fragment, ConditionError> {
        let arguments = arguments(expression, function)?;
        let name = function.name.to_string().to_uppercase();
        if name == "COALESCE" {
            let fragments = arguments.into_iter().map(|argument| self.fragment(argument, wanted)).collect::<Result<Vec<_>, _>>()?;
            return coalesce(fragments);
        }
        let [argument] = arguments.as_slice() else {
            return Err(ConditionError::value(expression, "this function takes one argument"));
        };
        let operand = self.fragment(argument, if name == "ABS" { NUMBER } else { TEXT })?;
        if let Some(Constant::Number(number)) = operand.constant {
            return Ok(Fragment::constant(Constant::Number(number.abs())));
        }
        let call = format!("{name}({})", operand.sql);
        // Polars returns an unsigned number, and a difference of unsigned numbers cannot be negative.
        let sql = if name == "LENGTH" { format!("CAST({call} AS DOUBLE)") } else { call };
        Fragment::checked(sql, Precedence::Atom, Size::around([&operand]))
    }

    fn arithmetic(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Arithmetic, ConditionError> {
        let (first, second) = (self.guess(left)?, self.guess(right)?);
        Arithmetic::of(op, first, second).ok_or_else(|| mismatch(left, first, right, second, ARITHMETIC))
    }

    fn calculation(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Fragment, ConditionError> {
        let kinds = self.arithmetic(left, op, right)?;
        let (first, second) = (self.fragment(left, kinds.left)?, self.fragment(right, kinds.right)?);
        if *op == BinaryOperator::Divide && second.constant == Some(Constant::Number(0.0)) {
            return Err(ConditionError::value(whole, "it divides by zero"));
        }
        if let (Some(first), Some(second)) = (first.constant, second.constant) {
            let constant = calculated(first, op, second).ok_or_else(|| ConditionError::value(whole, "the result is out of range"))?;
            return Ok(Fragment::constant(constant));
        }
        let (sign, precedence, right_precedence) = match op {
            BinaryOperator::Plus => ('+', Precedence::Sum, Precedence::Product),
            BinaryOperator::Minus => ('-', Precedence::Sum, Precedence::Product),
            BinaryOperator::Multiply => ('*', Precedence::Product, Precedence::Atom),
            _ => ('/', Precedence::Product, Precedence::Atom),
        };
        let (divisor, times) = match (op, second.constant) {
            // Polars divides by zero without an error. The result is infinity, or NaN, which is greater than everything.
            (BinaryOperator::Divide, None) => (format!("NULLIF({}, 0)", second.sql), 2),
            _ => (second.in_parentheses_below(right_precedence), 1),
        };
        Fragment::checked(
            format!("{} {sign} {divisor}", first.in_parentheses_below(precedence)),
            precedence,
            Size::around([&first]).and(&second, times),
        )
    }
}

const PATTERN: &str = "a pattern is a text in single quotes, with % for any characters and _ for one";
const ARITHMETIC: &str = "numbers go with numbers, an interval with an interval, and an instant takes + or - an interval";

fn not(flag: &Fragment) -> Result<Fragment, ConditionError> {
    Fragment::checked(format!("NOT {}", flag.in_parentheses_below(Precedence::Atom)), Precedence::Comparison, Size::around([flag]))
}

/// The first of these that is not null. A constant is never null, so everything after the first constant is dropped. If several fragments
/// remain, the first one is no constant, and the result has the type of a column.
fn coalesce(fragments: Vec<Fragment>) -> Result<Fragment, ConditionError> {
    let end = fragments.iter().position(|fragment| fragment.constant.is_some()).map_or(fragments.len(), |known| known + 1);
    match &fragments[..end] {
        [one] => Ok(one.clone()),
        several => {
            let arguments = several.iter().map(|fragment| fragment.sql.as_str()).collect::<Vec<_>>().join(", ");
            Fragment::checked(format!("COALESCE({arguments})"), Precedence::Atom, Size::around(several))
        }
    }
}

/// The results of a `CASE` that are not NULL.
fn results<'e>(conditions: &'e [CaseWhen], else_result: Option<&'e Expr>) -> impl Iterator<Item = &'e Expr> {
    conditions.iter().map(|arm| &arm.result).chain(else_result).filter(|result| !is_null(result))
}

fn arguments<'e>(expression: &'e Expr, function: &'e Function) -> Result<Vec<&'e Expr>, ConditionError> {
    let is_plain = matches!(function.parameters, FunctionArguments::None)
        && function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && !function.uses_odbc_syntax;
    match &function.args {
        FunctionArguments::List(list) if is_plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
            let arguments: Option<Vec<&Expr>> = list.args.iter().map(plain_argument).collect();
            arguments
                .filter(|arguments| !arguments.is_empty())
                .ok_or_else(|| ConditionError::value(expression, "a function takes expressions in parentheses"))
        }
        _ => Err(ConditionError::value(expression, "a function takes expressions in parentheses")),
    }
}

fn mismatch(first: &Expr, first_is: Guess, second: &Expr, second_is: Guess, why: &'static str) -> ConditionError {
    ConditionError::Mismatch {
        place: Place::of(first),
        first: quoted(first),
        first_is: first_is.as_str(),
        second: quoted(second),
        second_is: second_is.as_str(),
        why,
    }
}
