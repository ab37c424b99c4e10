//! The data dictionary, from the table schemas that the program writes with.

mod warehouse;

use comfy_table::Cell;
use serde_json::json;

use super::arguments::{Schema, SchemaFormat};
use super::failure::Failure;
use super::summary::{drawn, trimmed};
use super::{run, stdout};
use archive::Section;
use archive::engine::{Dialect, Step};
use archive::snapshot;
use archive::table::Table;
use job::settings::{Settings, Sources};
use reports::analysis::{REPORTS, Report};
use reports::history;
use reports::steps;

/// A table, its name on the command line, and its report if the table is one.
struct Listed {
    name: String,
    table: &'static Table,
    report: Option<&'static Report>,
}

fn all() -> Vec<Listed> {
    let reports = REPORTS.iter().map(|report| Listed { name: report.table.name.to_string(), table: &report.table, report: Some(report) });
    let snapshots = [
        &snapshot::CONTACTS,
        &snapshot::MEMBERS,
        &snapshot::CONVERSATIONS,
        &snapshot::ATTRIBUTES,
        &snapshot::SUBSCRIPTIONS,
        &snapshot::SUBSCRIPTION_TYPES,
        &snapshot::VANISHED,
    ];
    let snapshots = snapshots.into_iter().map(|table| Listed { name: format!("snapshot/{}", table.name), table, report: None });
    let histories = history::TABLES.iter().map(|table| Listed { name: format!("history/{}", table.name), table, report: None });
    reports.chain(snapshots).chain(histories).collect()
}

pub(super) fn run(arguments: &Schema) -> Result<u8, Failure> {
    let mut tables = all();
    if let Some(wanted) = &arguments.table {
        let names: Vec<String> = tables.iter().map(|listed| listed.name.clone()).collect();
        tables.retain(|listed| listed.name == *wanted);
        if tables.is_empty() {
            return Err(Failure::usage(format!("there is no table `{wanted}`"), format!("the tables are {}", names.join(", "))));
        }
    }
    let text = if let Some(format) = arguments.format {
        tables.retain(|listed| listed.report.is_some());
        if tables.is_empty() {
            return Err(Failure::usage("only reports are printed for other tools", "omit --format to print the columns"));
        }
        let reports = reports_of(arguments)?;
        let tables = tables.iter().map(|listed| listed.table);
        match format {
            SchemaFormat::Dbt => warehouse::dbt(&reports, tables),
            SchemaFormat::Duckdb => warehouse::duckdb(&reports, tables),
            SchemaFormat::Odcs => warehouse::odcs(&reports, tables),
        }
    } else if arguments.sql {
        tables.retain(|listed| listed.report.is_some());
        if tables.is_empty() {
            return Err(Failure::usage("only reports have SQL", "omit --sql to print the columns"));
        }
        let steps = steps_of(arguments)?;
        tables.iter().filter_map(|listed| listed.report).map(|report| sql(report, &steps)).collect::<Vec<_>>().join("\n")
    } else if arguments.json {
        format!("{:#}", serde_json::Value::Array(tables.iter().map(as_json).collect()))
    } else if arguments.markdown {
        as_markdown(&tables)
    } else {
        tables.iter().map(as_text).collect::<Vec<_>>().join("\n")
    };
    stdout::print(&text)?;
    Ok(0)
}

/// The settings of the job that --job names. `None` without --job.
fn settings_of(arguments: &Schema) -> Result<Option<Settings>, Failure> {
    let Some(job) = &arguments.job else { return Ok(None) };
    run::load(&Sources { config: arguments.config.clone(), job: Some(job.clone().into()), flags: Vec::new() }).map(Some)
}

/// The name and the location of the reports: those of the job that --job names, otherwise those of the demo.
fn reports_of(arguments: &Schema) -> Result<warehouse::Reports, Failure> {
    match settings_of(arguments)? {
        Some(settings) => {
            let place = job::archive(&settings)?.location(Section::Reports);
            // The other tools may run in another folder, so the path must be absolute.
            let place = if place.contains("://") { place } else { absolute(&place) };
            Ok(warehouse::Reports { job: settings.job.name, place })
        }
        None => Ok(warehouse::Reports { job: "demo".to_string(), place: "output/demo/reports".to_string() }),
    }
}

fn absolute(place: &str) -> String {
    std::path::absolute(place).map_or_else(|_| place.to_string(), |path| path.display().to_string())
}

/// All steps: with the rules of the job that --job names, otherwise without rules.
fn steps_of(arguments: &Schema) -> Result<Vec<Step>, Failure> {
    let Some(settings) = settings_of(arguments)? else { return Ok(steps::all(&[], true, Dialect::Polars)) };
    Ok(steps::all(settings.job.rules.iter().map(|rule| &rule.rule), settings.job.conversations, Dialect::Polars))
}

/// The steps of a report, each after the steps whose tables it reads.
fn sql(report: &'static Report, all: &[Step]) -> String {
    let mut wanted: Vec<&str> = report.inputs().iter().map(|table| table.name).collect();
    let own = report.step();
    wanted.extend(own.iter().flat_map(Step::inputs));
    let mut steps: Vec<&Step> = Vec::new();
    for step in all.iter().rev() {
        if wanted.contains(&step.table.name) {
            wanted.extend(step.inputs());
            steps.push(step);
        }
    }
    let mut text = format!("-- {}: a row is {}\n", report.table.name, report.table.row);
    for step in steps.into_iter().rev() {
        text.push_str(&format!("\n-- {}: a row is {}\n{}", step.table.name, step.table.row, step.sql));
    }
    if let Some(step) = &own {
        text.push_str(&format!("\n-- the report\n{}", step.sql));
    }
    text
}

fn as_json(listed: &Listed) -> serde_json::Value {
    let column = |column: &archive::table::Column| {
        json!({
            "name": column.name,
            "type": column.kind.label(),
            "unit": column.unit(),
            "description": column.about,
            "null": if column.null.is_empty() { None } else { Some(column.null) },
            "values": if column.values.is_empty() { None } else { Some(column.values) },
        })
    };
    json!({
        "table": listed.name,
        "row": listed.table.row,
        "key": listed.table.key,
        "columns": listed.table.columns.iter().map(column).collect::<Vec<_>>(),
    })
}

/// The section about merged contacts, which concerns several reports.
const MERGED_CONTACTS: &str = "
## Merged contacts

From API 2.16 on, a run asks the API what happened to those members of the last month whom no list contains any more: deleted, or merged into another
contact (`snapshot/vanished`). Below, the old contact was merged into the new contact, and p is the compared month. In all reports:

- If the new contact is a member of the same cohort now, it takes over the membership of the old one: it is retained, with the old contact's entry and
  spell. The old contact did not depart, and the new one did not join. `members` has one row, with the new `contact_id`.
- If both were members before, they are one member from now on, with the earlier entry and the latest spell. So `previous_members` = `retained` +
  `departed` counts them once, and may be less than `members` of p. `retention` and `membership_survival` count the one with the later entry as no
  longer there.
- If the new contact is not a member of the cohort, the old one departed, and is gone: it is counted in `departed_merged`, and in `movement` to `(gone)`.
- Conversations that the old contact opened count for the new one.

`departed_gone` = `departed_deleted` + `departed_merged`. Both of the latter are null if the answer is not known for everyone who is gone. If nobody was
asked for, a merged member is one who departed.
";

/// The text of `docs/reports.md`, with a section for each table.
fn as_markdown(tables: &[Listed]) -> String {
    let mut text = "# Tables and columns\n\nWritten by `cohorts schema --markdown`: do not edit it. [guide.md](guide.md) says where the tables are, \
                    [analysts.md](analysts.md) how to query them, [statistics.md](statistics.md) what the statistics mean. An empty cell in the \
                    column \"null\" says that the value is always there.\n"
        .to_string();
    text.push_str(MERGED_CONTACTS);
    for Listed { name, table, .. } in tables {
        text.push_str(&format!("\n## {name}\n\nA row is {}. Sorted by {}.\n\n", table.row, table.key.join(", ")));
        text.push_str("| column | type | unit | what it is | null |\n|---|---|---|---|---|\n");
        for column in table.columns {
            let cells =
                [column.kind.label(), column.unit().unwrap_or_default(), column.about, column.null].map(|cell| cell.replace('|', "\\|"));
            text.push_str(&format!("| `{}` | {} |\n", column.name, cells.join(" | ")));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn as_text(listed: &Listed) -> String {
    let table = listed.table;
    let mut text = format!("{}: a row is {}\nsorted by {}\n", listed.name, table.row, table.key.join(", "));
    let mut columns = drawn(&["  column", "type", "unit", "what it holds"]);
    for column in table.columns {
        let null = if column.null.is_empty() { String::new() } else { format!(" (null: {})", column.null) };
        columns.add_row(vec![
            Cell::new(format!("  {}", column.name)),
            Cell::new(column.kind.label()),
            Cell::new(column.unit().unwrap_or("")),
            Cell::new(format!("{}{null}", column.about)),
        ]);
    }
    text.push_str(&trimmed(&columns));
    text
}
