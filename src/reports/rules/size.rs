//! Limits the size of a condition, so that no step runs out of stack.
//!
//! Reading and rewriting are recursive. Polars' SQL reader is recursive too: it has large stack frames and no protection. A long
//! chain of `AND` or `OR` adds no depth: it is flattened and written as a shallow tree.

use sqlparser::ast::{BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::error::ConditionError;

/// The maximum depth of nesting. Conditions that people write nest about five levels deep.
const MAX_DEPTH: usize = 16;

/// The maximum number of parts, without the literals of `IN` lists.
const MAX_PARTS: usize = 1_000;

/// Measures without recursion, because an expression may be deeper than the stack.
pub(super) fn check(expression: &Expr) -> Result<(), ConditionError> {
    let mut waiting = vec![(expression, 0)];
    let mut parts = 0;
    while let Some((part, depth)) = waiting.pop() {
        parts += 1;
        if depth > MAX_DEPTH {
            return Err(ConditionError::TooDeep);
        }
        if parts > MAX_PARTS {
            return Err(ConditionError::TooLarge);
        }
        let chain = chain_operator(part);
        waiting.extend(children(part).into_iter().map(|child| {
            let same_chain = matches!(part, Expr::Nested(_)) || (chain.is_some() && chain == chain_operator(child));
            (child, if same_chain { depth } else { depth + 1 })
        }));
    }
    Ok(())
}

fn chain_operator(expression: &Expr) -> Option<&BinaryOperator> {
    match expression {
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => Some(op),
        _ => None,
    }
}

/// The parts of an expression. Empty if its kind is not allowed: the rewrite refuses such an expression later, with an error that names it.
fn children(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => vec![inner],
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => vec![inner],
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => vec![inner],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, .. } | Expr::Like { expr, .. } | Expr::ILike { expr, .. } => vec![expr],
        Expr::Case { operand, conditions, else_result, .. } => {
            let arms = conditions.iter().flat_map(|arm| [&arm.condition, &arm.result]);
            operand.iter().chain(else_result).map(Box::as_ref).chain(arms).collect()
        }
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => list.args.iter().filter_map(plain_argument).collect(),
            FunctionArguments::None | FunctionArguments::Subquery(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The expression of an argument that has neither a name nor a star.
pub(super) fn plain_argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    }
}
