//! The cause of a failed read, count or write, without the advice that Polars adds. The advice names options of Polars that this
//! program does not have.

use std::io;

use polars::prelude::PolarsError;

/// The words with which advice begins, in lower case.
const ADVICE: [&str; 6] = ["hint:", "consider ", "help:", "try ", "set `", "you can "];

/// The cause in one line. Its kind says whether the disk was full.
pub(super) fn of(error: &PolarsError) -> io::Error {
    match error {
        PolarsError::IO { error, .. } => io::Error::new(error.kind(), error.to_string()),
        PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } => of(error),
        error => io::Error::other(without_advice(&error.to_string())),
    }
}

/// The first line up to the advice. If nothing is left, this is a general text.
fn without_advice(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // Only ASCII changes case, so byte positions stay the same.
    let lower = line.to_ascii_lowercase();
    let ends = ADVICE.iter().filter_map(|advice| lower.find(advice)).filter(|start| begins_word(&lower, *start));
    let kept = ends.min().map_or(line, |end| &line[..end]);
    let kept = kept.trim().trim_end_matches([',', ';', '.', ':', '(', '-']).trim_end();
    if kept.is_empty() { "unknown cause".to_string() } else { kept.to_string() }
}

fn begins_word(text: &str, start: usize) -> bool {
    text[..start].chars().next_back().is_none_or(|before| !before.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;
    use crate::snapshot::SnapshotError;
    use crate::table::TableError;

    #[test]
    fn advice_is_removed_and_the_cause_is_kept() {
        let cause = |message: &str| of(&PolarsError::SchemaMismatch(message.to_string().into())).to_string();
        assert_eq!(
            cause("data type mismatch for column age: incoming: Int32 != target: Int64, hint: pass cast_options=pl.ScanCastOptions(…)"),
            "data type mismatch for column age: incoming: Int32 != target: Int64"
        );
        assert_eq!(
            cause("extra column in file outside of expected schema: x, hint: specify this column"),
            "extra column in file outside of expected schema: x"
        );
        assert_eq!(cause("error with column selection, consider passing `missing_columns='insert'`: x"), "error with column selection");
        assert_eq!(cause("no such thing\n\nHint: did you mean another?"), "no such thing");
        // "country" and "retry" contain the word "try", but are no advice.
        assert_eq!(cause("the country of retry 3 is unknown"), "the country of retry 3 is unknown");
        assert_eq!(cause("Hint: none"), "unknown cause");
    }

    #[test]
    fn a_failed_read_has_the_text_of_the_system() {
        let error = PolarsError::from(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "unexpected end of file"));
        assert_eq!(of(&error.context("while reading".into())).to_string(), "unexpected end of file");
    }

    #[test]
    fn a_full_disk_is_found_under_other_errors() {
        let is_full_in = |kind: io::ErrorKind| {
            let error = PolarsError::from(io::Error::from(kind)).context("while writing".into());
            disk::is_full_in(&SnapshotError::from(TableError::new("write", "a table", error)))
        };
        assert!(is_full_in(io::ErrorKind::StorageFull) && !is_full_in(io::ErrorKind::PermissionDenied));
    }
}
