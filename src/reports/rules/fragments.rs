//! Fragments of the SQL that is written: the text, and what is needed to put it into a larger fragment.

use super::error::ConditionError;

/// The maximum number of parts that Polars may make of a condition. Polars doubles some parts (`BETWEEN`, the operand of `CASE`, a
/// divisor). If such parts are nested, the factors multiply.
const MAX_PARTS: usize = 10_000;

/// The maximum depth of recursion in Polars' SQL reader. The reader does not protect the stack: a level takes up to 60 KiB in a
/// build without optimisation, and a thread usually has 2 MiB.
const MAX_DEPTH: usize = 20;

/// Up to `ROW` operands of `AND` or `OR` are written in one row. More operands become a tree of parentheses with `BRANCHES`
/// operands in each. The reason is the depth of the parse: it grows with the length of a row, but a tree is shallow.
const ROW: usize = 8;
const BRANCHES: usize = 4;

/// The precedence of a fragment's outermost operator, from loose to tight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Logic,
    Comparison,
    Sum,
    Product,
    Atom,
}

/// A value that is known while the condition is read. Calculations with constants are done here. Polars chooses the type of a
/// literal by its size, so a sum of small literals may overflow in Polars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Constant {
    Number(f64),
    /// Microseconds of an instant since 1970, or of a span of time.
    Micros(i64),
}

impl Constant {
    /// The literal in Polars' SQL, which has no exponents and recognises a float by its decimal point.
    fn sql(self, is_float: bool) -> String {
        match self {
            Constant::Micros(micros) => micros.to_string(),
            Constant::Number(number) if is_float || !self.is_integer() => {
                let text = number.to_string();
                if text.contains('.') { text } else { format!("{text}.0") }
            }
            // The number is within 2^53, so the cast is exact. The cast also turns -0 into 0.
            Constant::Number(number) => (number as i64).to_string(),
        }
    }

    fn is_integer(self) -> bool {
        match self {
            Constant::Micros(_) => true,
            Constant::Number(number) => number.fract() == 0.0 && number.abs() < 9.0e15,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Fragment {
    pub sql: String,
    precedence: Precedence,
    pub constant: Option<Constant>,
    size: Size,
}

/// The size of a fragment after Polars has read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    parts: usize,
    depth: usize,
}

impl Size {
    pub(super) const ONE: Size = Size { parts: 1, depth: 1 };

    /// The size of a fragment that contains each of these once.
    pub(super) fn around<'a>(fragments: impl IntoIterator<Item = &'a Fragment>) -> Size {
        fragments.into_iter().fold(Size::ONE, |size, fragment| size.and(fragment, 1))
    }

    /// The size after this fragment is put in `times` times.
    pub(super) fn and(self, fragment: &Fragment, times: usize) -> Size {
        let parts = self.parts.saturating_add(fragment.size.parts.saturating_mul(times));
        Size { parts, depth: self.depth.max(fragment.size.depth + 1) }
    }
}

impl Fragment {
    pub(super) fn atom(sql: impl Into<String>) -> Fragment {
        Fragment { sql: sql.into(), precedence: Precedence::Atom, constant: None, size: Size::ONE }
    }

    /// A column of the facts. Its name is defined by this program and needs no quotes. Spark would read a quoted name as a text.
    pub(super) fn column(name: &str) -> Fragment {
        Fragment::atom(name)
    }

    pub(super) fn text(text: &str) -> Fragment {
        Fragment::atom(format!("'{}'", text.replace('\'', "''")))
    }

    pub(super) fn constant(constant: Constant) -> Fragment {
        let sql = constant.sql(false);
        // A negative number has the precedence of a sum, so that two adjacent minus signs cannot start a comment.
        let precedence = if sql.starts_with('-') { Precedence::Sum } else { Precedence::Atom };
        Fragment { sql, precedence, constant: Some(constant), size: Size::ONE }
    }

    pub(super) fn checked(sql: String, precedence: Precedence, size: Size) -> Result<Fragment, ConditionError> {
        if size.parts > MAX_PARTS {
            return Err(ConditionError::TooLarge);
        }
        if size.depth > MAX_DEPTH {
            return Err(ConditionError::TooDeep);
        }
        Ok(Fragment { sql, precedence, constant: None, size })
    }

    /// The SQL, in parentheses if its precedence is below `least`.
    pub(super) fn in_parentheses_below(&self, least: Precedence) -> String {
        if self.precedence >= least { self.sql.clone() } else { format!("({})", self.sql) }
    }

    /// The SQL, safe anywhere in a query.
    pub(super) fn finished(self) -> String {
        self.in_parentheses_below(Precedence::Comparison)
    }
}

/// Joins fragments by one operator: `a AND b AND c`.
pub(super) fn chain(operator: &str, fragments: Vec<Fragment>) -> Result<Fragment, ConditionError> {
    let mut size = Size::around(&fragments);
    let mut row: Vec<String> = fragments.iter().map(|fragment| fragment.in_parentheses_below(Precedence::Comparison)).collect();
    let separator = format!(" {operator} ");
    while row.len() > ROW {
        row =
            row.chunks(BRANCHES).map(|part| if let [one] = part { one.clone() } else { format!("({})", part.join(&separator)) }).collect();
        size.depth += BRANCHES - 1;
    }
    size.depth += row.len().saturating_sub(2);
    Fragment::checked(row.join(&separator), Precedence::Logic, size)
}

/// The literals of an `IN` list. Polars needs all of them to have one type.
pub(super) fn literals(fragments: &[Fragment]) -> String {
    let has_float = fragments.iter().filter_map(|fragment| fragment.constant).any(|constant| !constant.is_integer());
    let literal = |fragment: &Fragment| fragment.constant.map_or_else(|| fragment.sql.clone(), |constant| constant.sql(has_float));
    fragments.iter().map(literal).collect::<Vec<_>>().join(", ")
}
