use comfy_table::Cell;
use serde_json::json;

use super::arguments::Status;
use super::failure::{ATTENTION, Failure};
use super::summary::{drawn, right, trimmed};
use super::{clock, run, stdout};
use domain::Month;
use reports::digest::grouped;

pub(super) fn run(arguments: &Status) -> Result<u8, Failure> {
    let settings = run::load(&arguments.job.sources())?;
    let now = clock::clock(arguments.as_of, &settings)?();
    let status = job::status(&job::archive(&settings)?, &settings.job, now, arguments.check)?;
    stdout::print(&if arguments.json { as_json(&status) } else { as_table(&status) })?;
    Ok(if arguments.check && status.needs_attention() { ATTENTION } else { 0 })
}

fn names<M: std::fmt::Display>(months: &[M]) -> Vec<String> {
    months.iter().map(M::to_string).collect()
}

fn as_json(status: &job::Status) -> String {
    let months: Vec<serde_json::Value> = status
        .months
        .iter()
        .map(|month| {
            json!({
                "month": month.month.to_string(),
                "basis": month.basis.as_str(),
                "observed_at": month.observed_at,
                "cohorts": month.cohorts,
                "members": month.members,
                "bytes": month.bytes,
                "stale": !month.is_current,
                "damaged": month.damaged,
                "damaged_history": month.damaged_history,
                "damaged_reports": month.damaged_reports,
                "incomplete": month.incomplete,
                "missing_groups": month.missing_groups,
            })
        })
        .collect();
    let value = json!({
        "job": status.job,
        "months": months,
        "gaps": names(&status.gaps),
        "due": status.due.map(|month| month.to_string()),
        "unreadable": status.unreadable.iter().map(|(month, why)| json!({ "month": month.to_string(), "why": why })).collect::<Vec<_>>(),
        "damaged_applied": status.damaged_applied.iter().map(|(month, why)| json!({ "month": month.to_string(), "why": why })).collect::<Vec<_>>(),
        "unfinished": names(&status.unfinished),
        "scripts": names(&status.scripts),
        "forgetting": status.is_forgetting,
        "at_work": status.holder.as_ref().map(|holder| json!({ "process": holder.process, "since": holder.since })),
        "needs_attention": status.needs_attention(),
    });
    format!("{value:#}")
}

fn as_table(status: &job::Status) -> String {
    let mut text = String::new();
    if status.months.is_empty() && status.unreadable.is_empty() {
        text.push_str(&format!("{} has no month yet\n", status.job));
    } else {
        let mut table = drawn(&["month", "basis", "observed", "cohorts", "members", "bytes", "reports", ""]);
        for month in &status.months {
            let mut notes = Vec::new();
            if !month.incomplete.is_empty() {
                notes.push(format!("incomplete: {}", month.incomplete.join(", ")));
            }
            let damage = [("snapshot", &month.damaged), ("history", &month.damaged_history), ("reports", &month.damaged_reports)];
            for (what, problems) in damage.into_iter().filter(|(_, problems)| !problems.is_empty()) {
                notes.push(format!("{what} damaged: {}", problems.join(", ")));
            }
            if month.missing_groups > 0 {
                let groups = if month.missing_groups == 1 { "group" } else { "groups" };
                notes.push(format!("{} {groups} not found", month.missing_groups));
            }
            let number = |number: u64| right(grouped(i64::try_from(number).unwrap_or(i64::MAX)));
            table.add_row(vec![
                Cell::new(month.month),
                Cell::new(month.basis),
                Cell::new(month.observed_at.format("%Y-%m-%d %H:%M UTC")),
                right(month.cohorts),
                number(month.members),
                number(month.bytes),
                Cell::new(if month.is_current { "current" } else { "stale" }),
                Cell::new(notes.join("; ")),
            ]);
        }
        text.push_str(&trimmed(&table));
    }
    for (month, why) in &status.unreadable {
        text.push_str(&format!("{month} cannot be read: {why}\n"));
    }
    for (month, why) in &status.damaged_applied {
        text.push_str(&format!("applied tags of {month} are damaged: {why}\n"));
    }
    let mut line = |what: &str, months: &[Month]| {
        if !months.is_empty() {
            text.push_str(&format!("{what}: {}\n", names(months).join(", ")));
        }
    };
    line("months without a snapshot", &status.gaps);
    line("due", status.due.as_slice());
    if let Some(holder) = &status.holder {
        text.push_str(&format!("at work: {holder}; the unfinished work is its own\n"));
    }
    for months in &status.unfinished {
        if status.holder.is_some() {
            text.push_str(&format!("unfinished work of {months}\n"));
            continue;
        }
        let is_published = status.months.iter().any(|month| months.first == months.last && month.month == months.first);
        let command = match (months.first == months.last, is_published) {
            (true, false) => format!("run --month {}", months.first),
            (true, true) => format!("run --month {} --replace", months.first),
            (false, _) => format!("backfill --from {} --to {}", months.first, months.last),
        };
        let work = status.work_folder.display();
        text.push_str(&format!("unfinished work of {months}: `cohorts {command}` continues it; or delete its folder in `{work}`\n"));
    }
    for month in &status.scripts {
        text.push_str(&format!(
            "{month} waits for its script (`report --engine-script`): run it, then `cohorts report --month {month}`; or delete \
             `.engine/run_month={month}` in the job's place\n"
        ));
    }
    if status.is_forgetting && status.holder.is_none() {
        text.push_str("unfinished: a `cohorts forget`; run it again\n");
    }
    text
}
