//! Parts of the SQL that is written: text, and what has to be known to put it into a larger part.

use super::error::ConditionError;

/// How many parts Polars may make of a condition. It doubles some (`BETWEEN`, the operand of `CASE`, a divisor), and
/// within each other they would multiply.
const MAX_PARTS: usize = 10_000;

/// How deep Polars' reading of SQL may recurse. It is not protected, a level of it takes up to 60 KiB of stack in a build
/// without optimisation, and a thread of the runtime has 2 MiB.
const MAX_DEPTH: usize = 20;

/// As many operands of `AND` or `OR` stand in one row. More become a tree of parentheses with so many in each: a row is
/// as deep as it is long, a tree is not.
const ROW: usize = 8;
const BRANCHES: usize = 4;

/// How tightly a part holds together, from loose to tight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    Logic,
    Comparison,
    Sum,
    Product,
    Whole,
}

/// A value that is known while the condition is read. Sums of these are calculated here: Polars would type a literal by
/// its size, and let a sum of small ones overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Constant {
    Number(f64),
    /// Of an instant, since 1970, or of a span.
    Micros(i64),
}

impl Constant {
    /// As a literal of Polars' SQL, which knows no exponents, and tells a float by its point.
    fn sql(self, is_float: bool) -> String {
        match self {
            Constant::Micros(micros) => micros.to_string(),
            Constant::Number(number) if is_float || !self.is_integer() => {
                let text = number.to_string();
                if text.contains('.') { text } else { format!("{text}.0") }
            }
            // Within 2^53, so the cast is exact; and it makes 0 of -0.
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
pub(super) struct Piece {
    pub sql: String,
    hold: Hold,
    pub constant: Option<Constant>,
    size: Size,
}

/// What Polars makes of a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    parts: usize,
    depth: usize,
}

impl Size {
    pub(super) const ONE: Size = Size { parts: 1, depth: 1 };

    /// Of something with all of these in it, once each.
    pub(super) fn around<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Size {
        pieces.into_iter().fold(Size::ONE, |size, piece| size.and(piece, 1))
    }

    /// With this in it as well, so many times.
    pub(super) fn and(self, piece: &Piece, times: usize) -> Size {
        let parts = self.parts.saturating_add(piece.size.parts.saturating_mul(times));
        Size { parts, depth: self.depth.max(piece.size.depth + 1) }
    }
}

impl Piece {
    pub(super) fn whole(sql: impl Into<String>) -> Piece {
        Piece { sql: sql.into(), hold: Hold::Whole, constant: None, size: Size::ONE }
    }

    pub(super) fn column(name: &str) -> Piece {
        Piece::whole(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    pub(super) fn text(text: &str) -> Piece {
        Piece::whole(format!("'{}'", text.replace('\'', "''")))
    }

    pub(super) fn constant(constant: Constant) -> Piece {
        let sql = constant.sql(false);
        // A negative one holds like a sum, so that no two minus signs meet and make a comment.
        let hold = if sql.starts_with('-') { Hold::Sum } else { Hold::Whole };
        Piece { sql, hold, constant: Some(constant), size: Size::ONE }
    }

    pub(super) fn made(sql: String, hold: Hold, size: Size) -> Result<Piece, ConditionError> {
        if size.parts > MAX_PARTS {
            return Err(ConditionError::TooLarge);
        }
        if size.depth > MAX_DEPTH {
            return Err(ConditionError::TooDeep);
        }
        Ok(Piece { sql, hold, constant: None, size })
    }

    /// In parentheses unless it holds this tightly.
    pub(super) fn held(&self, least: Hold) -> String {
        if self.hold >= least { self.sql.clone() } else { format!("({})", self.sql) }
    }

    /// Fit for any place in a query.
    pub(super) fn closed(self) -> String {
        self.held(Hold::Comparison)
    }
}

/// `a AND b AND c`.
pub(super) fn chain(operator: &str, pieces: Vec<Piece>) -> Result<Piece, ConditionError> {
    let mut size = Size::around(&pieces);
    let mut row: Vec<String> = pieces.iter().map(|piece| piece.held(Hold::Comparison)).collect();
    let separator = format!(" {operator} ");
    while row.len() > ROW {
        row =
            row.chunks(BRANCHES).map(|part| if let [one] = part { one.clone() } else { format!("({})", part.join(&separator)) }).collect();
        size.depth += BRANCHES - 1;
    }
    size.depth += row.len().saturating_sub(2);
    Piece::made(row.join(&separator), Hold::Logic, size)
}

/// The literals of an `IN` list; Polars wants them all of one type.
pub(super) fn literals(pieces: &[Piece]) -> String {
    let has_float = pieces.iter().filter_map(|piece| piece.constant).any(|constant| !constant.is_integer());
    let literal = |piece: &Piece| piece.constant.map_or_else(|| piece.sql.clone(), |constant| constant.sql(has_float));
    pieces.iter().map(literal).collect::<Vec<_>>().join(", ")
}
