//! `tags`, `segments` and `counts`: the groups of the workspace with IDs and sizes, and other counts.

use comfy_table::Cell;
use serde::Serialize;

use super::arguments::{By, Counts, Groups, Of, Workspace};
use super::failure::Failure;
use super::progress::Progress;
use super::summary::{drawn, right, trimmed};
use super::{run, stdout};
use domain::GroupKind;
use intercom::Counted;
use job::census::{self, Count, Question};
use reports::digest::{grouped, one_line};

pub(super) async fn groups(arguments: &Groups, kind: GroupKind, progress: &Progress) -> Result<u8, Failure> {
    print_counts(&arguments.workspace, Question::By(Counted::People, kind), arguments.json, progress).await
}

pub(super) async fn counts(arguments: &Counts, progress: &Progress) -> Result<u8, Failure> {
    let of = arguments.of.map(|of| match of {
        Of::Users => Counted::People,
        Of::Companies => Counted::Companies,
        Of::Conversations => Counted::Conversations,
    });
    let by = arguments.by.map(|by| match by {
        By::Tag => GroupKind::Tag,
        By::Segment => GroupKind::Segment,
    });
    let question = match (of, by) {
        (None, None) => Question::Everything,
        (Some(of), None) => Question::Total(of),
        (of, Some(by)) => Question::By(of.unwrap_or(Counted::People), by),
    };
    print_counts(&arguments.workspace, question, arguments.json, progress).await
}

async fn print_counts(workspace: &Workspace, question: Question, json: bool, progress: &Progress) -> Result<u8, Failure> {
    let settings = run::load(&workspace.sources())?;
    let client = run::client(&settings)?;
    let on_progress = |done: usize, all: usize| progress.count("sizes requested", done as u64, all as u64);
    let counts = census::take(&client, question, &on_progress).await?;
    progress.finish();
    let counts = counts.ok_or_else(|| not_counted(question, &settings.intercom.api_version))?;
    stdout::print(&if json { as_json(&counts) } else { as_table(&counts) })?;
    Ok(0)
}

fn not_counted(question: Question, api_version: &str) -> Failure {
    let what = match question {
        Question::By(Counted::Companies, GroupKind::Segment) => "companies by segment; 1.0 to 1.4 do",
        Question::By(Counted::Conversations, GroupKind::Segment) => "conversations by segment, nor does any other",
        Question::By(Counted::Conversations, GroupKind::Tag) => "conversations by tag; 2.0 to 2.17 do",
        _ => "this",
    };
    Failure::usage(
        format!("API version {api_version} does not count {what}"),
        "`counts --of users|companies|conversations` counts all of them, by any version; `intercom.api_version` sets the version",
    )
}

fn as_json(counts: &[Count]) -> String {
    #[derive(Serialize)]
    struct Entry<'a> {
        id: Option<&'a str>,
        name: &'a str,
        count: Option<u64>,
    }
    let entry = |count: &Count| serde_json::to_string(&Entry { id: count.id.as_deref(), name: &count.name, count: count.count });
    // Texts and numbers can always be written as JSON, so no count is dropped.
    stdout::json_lines(&counts.iter().filter_map(|count| entry(count).ok()).collect::<Vec<_>>())
}

fn as_table(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "there are none\n".to_string();
    }
    let have_ids = counts.iter().any(|count| count.id.is_some());
    let mut table = if have_ids { drawn(&["id", "name", "count"]) } else { drawn(&["what", "count"]) };
    for count in counts {
        let number = count.count.map_or("unknown".to_string(), |count| grouped(i64::try_from(count).unwrap_or(i64::MAX)));
        let mut row = vec![Cell::new(one_line(&count.name)), right(number)];
        if have_ids {
            row.insert(0, Cell::new(count.id.as_deref().unwrap_or_default()));
        }
        table.add_row(row);
    }
    trimmed(&table)
}
