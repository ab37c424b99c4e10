//! `check`: finds the problems that a run would meet, one line each.

use comfy_table::Cell;
use serde::Serialize;

use super::arguments::Check;
use super::failure::Failure;
use super::progress::Progress;
use super::summary::{drawn, trimmed};
use super::{clock, stdout};
use job::check::{self, Finding, Seen};
use job::settings;
use reports::digest::one_line;

/// One finding, as it is printed.
#[derive(Serialize)]
struct Line {
    level: &'static str,
    /// The exit code that a run would have; only for errors.
    code: Option<u8>,
    subject: String,
    detail: String,
    hint: Option<String>,
}

pub(super) async fn run(arguments: &Check, progress: &Progress) -> Result<u8, Failure> {
    let survey = settings::survey(&arguments.job.sources())?;
    let clock = clock::clock(None, &survey.settings)?;
    progress.say("asking Intercom");
    let lines: Vec<Line> = check::check(survey, &clock).await.into_iter().map(line).collect();
    progress.finish();
    stdout::print(&if arguments.json { as_json(&lines) } else { as_table(&lines) })?;
    Ok(lines.iter().filter_map(|line| line.code).min().unwrap_or(0))
}

fn line(Finding { subject, seen }: Finding) -> Line {
    let (level, code, detail, hint) = match seen {
        Seen::Fine(what) => ("ok", None, what, None),
        Seen::Noted(what) => ("info", None, what, None),
        Seen::Warning { what, hint } => ("warning", None, what, hint),
        Seen::Error(trouble) => {
            let failure = Failure::from(trouble);
            ("error", Some(failure.code()), failure.message(), failure.hint().map(str::to_string))
        }
    };
    Line { level, code, subject, detail, hint }
}

fn as_json(lines: &[Line]) -> String {
    // Texts and numbers can always be written as JSON, so no line is dropped.
    stdout::json_lines(&lines.iter().filter_map(|line| serde_json::to_string(line).ok()).collect::<Vec<_>>())
}

fn as_table(lines: &[Line]) -> String {
    let mut table = drawn(&["", "what", "seen"]);
    for line in lines {
        let detail = match &line.hint {
            Some(hint) => format!("{} → {hint}", line.detail),
            None => line.detail.clone(),
        };
        table.add_row(vec![Cell::new(line.level), Cell::new(one_line(&line.subject)), Cell::new(one_line(&detail))]);
    }
    let count = |level: &str| lines.iter().filter(|line| line.level == level).count();
    let counted = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    format!("{}\n{}, {}\n", trimmed(&table), counted(count("error"), "error"), counted(count("warning"), "warning"))
}
