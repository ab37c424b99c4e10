//! Why a table could not be read, counted or written, without what Polars advises its own users to do: its options are none of
//! this program's.

use polars::prelude::PolarsError;

/// What was wrong, in a line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(String);

/// What advice begins with, in lower case.
const ADVICE: [&str; 6] = ["hint:", "consider ", "help:", "try ", "set `", "you can "];

impl Cause {
    pub(super) fn own(problem: String) -> Cause {
        Cause(problem)
    }

    pub(super) fn of(error: &PolarsError) -> Cause {
        match error {
            PolarsError::IO { error, .. } => Cause(error.to_string()),
            PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } => Cause::of(error),
            error => Cause(without_advice(&error.to_string())),
        }
    }
}

/// The first line up to where advice begins. Where nothing else is left, that the advice was about something is all there is.
fn without_advice(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // Of ASCII alone, so that places stay what they are.
    let lower = line.to_ascii_lowercase();
    let ends = ADVICE.iter().filter_map(|advice| lower.find(advice)).filter(|start| begins_word(&lower, *start));
    let kept = ends.min().map_or(line, |end| &line[..end]);
    let kept = kept.trim().trim_end_matches([',', ';', '.', ':', '(', '-']).trim_end();
    if kept.is_empty() { "it could not be understood".to_string() } else { kept.to_string() }
}

fn begins_word(text: &str, start: usize) -> bool {
    text[..start].chars().next_back().is_none_or(|before| !before.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_polars_advises_is_left_out_and_what_it_found_is_kept() {
        let told = |message: &str| Cause::of(&PolarsError::SchemaMismatch(message.to_string().into())).to_string();
        assert_eq!(
            told("data type mismatch for column age: incoming: Int32 != target: Int64, hint: pass cast_options=pl.ScanCastOptions(…)"),
            "data type mismatch for column age: incoming: Int32 != target: Int64"
        );
        assert_eq!(
            told("extra column in file outside of expected schema: x, hint: specify this column"),
            "extra column in file outside of expected schema: x"
        );
        assert_eq!(told("error with column selection, consider passing `missing_columns='insert'`: x"), "error with column selection");
        assert_eq!(told("no such thing\n\nHint: did you mean another?"), "no such thing");
        // Words of a message that only begin like advice.
        assert_eq!(told("the country of retry 3 is unknown"), "the country of retry 3 is unknown");
        assert_eq!(told("Hint: none"), "it could not be understood");
    }

    #[test]
    fn a_failed_read_is_told_as_the_system_tells_it() {
        let error = PolarsError::from(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "unexpected end of file"));
        assert_eq!(Cause::of(&error.context("while reading".into())).to_string(), "unexpected end of file");
    }
}
