//! `members`: prints the members of one group, or writes them into a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use comfy_table::Cell;
use polars::prelude::{DataFrame, PolarsResult};

use super::arguments::{Members, MembersFormat};
use super::failure::Failure;
use super::progress::Progress;
use super::summary::{drawn, trimmed};
use super::{clock, run};
use domain::{Group, GroupKind, GroupName, differs_from_listing};
use intercom::{Client, ListedGroup};
use job::listing::{self, Lines, ListingError, ParquetFile, Rows, TextFile};
use job::privacy::Privacy;
use job::settings::Settings;
use reports::digest::{grouped, one_line};

pub(super) async fn run(arguments: &Members, progress: &Progress) -> Result<u8, Failure> {
    let settings = run::load(&arguments.workspace.sources())?;
    let clock = clock::clock(arguments.as_of, &settings)?;
    let output = file(arguments.output.as_deref());
    let format = format(arguments.format, output)?;
    let privacy = job::privacy(&settings)?;
    let client = run::client(&settings)?;
    let ListedGroup { group, count, .. } = find(&client, &arguments.group).await?;

    let to = To { client: &client, group: &group, settings: &settings, privacy: &privacy, progress };
    let stdout = || BufWriter::new(io::stdout());
    let listed = match (output, format) {
        (None, MembersFormat::Table) => to.write(Pages::new(stdout())).await,
        (None, MembersFormat::Csv) => to.write(Lines::csv(stdout())).await,
        (None, MembersFormat::Jsonl) => to.write(Lines::jsonl(stdout())).await,
        (None, MembersFormat::Parquet) => return Err(needs_file("Parquet cannot be printed")),
        // Pipes and devices are written to directly.
        (Some(path), MembersFormat::Table) if is_special(path) => to.write(Pages::new(open(path)?)).await,
        (Some(path), MembersFormat::Csv) if is_special(path) => to.write(Lines::csv(open(path)?)).await,
        (Some(path), MembersFormat::Jsonl) if is_special(path) => to.write(Lines::jsonl(open(path)?)).await,
        (Some(path), MembersFormat::Parquet) if is_special(path) => {
            return Err(needs_file("Parquet cannot be written to a pipe or a device"));
        }
        (Some(path), MembersFormat::Table) => to.write(TextFile::create(path, Pages::new)?).await,
        (Some(path), MembersFormat::Csv) => to.write(TextFile::create(path, Lines::csv)?).await,
        (Some(path), MembersFormat::Jsonl) => to.write(TextFile::create(path, Lines::jsonl)?).await,
        (Some(path), MembersFormat::Parquet) => to.write(ParquetFile::create(path)?).await,
    };
    progress.finish();
    match listed {
        Ok(members) => {
            if let Some(count) = count.filter(|count| differs_from_listing(members, *count)) {
                tracing::warn!("the listing of segments counts {count}: either may be out of date; compare the segment in Intercom");
            }
            tracing::info!(members, group = group.key(), "listed as of {}", clock().format("%Y-%m-%d %H:%M:%S UTC"));
            Ok(0)
        }
        Err(ListingError::Closed) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The existing group of this name.
async fn find(client: &Client, name: &GroupName) -> Result<ListedGroup, Failure> {
    let listed = match name.kind {
        GroupKind::Tag => client.tags().await?,
        GroupKind::Segment => client.segments().await?,
    };
    let groups: Vec<Group> = listed.iter().map(|listed| listed.group.clone()).collect();
    let group = job::resolve(name, &groups, &[])?.0;
    let found = listed.into_iter().find(|listed| listed.group == group);
    Ok(found.unwrap_or(ListedGroup { group, count: None, created_at: None, updated_at: None }))
}

/// The requested format. If none is requested: the format of the file's extension, or a table for standard output.
fn format(format: Option<MembersFormat>, output: Option<&Path>) -> Result<MembersFormat, Failure> {
    let Some(path) = output else { return Ok(format.unwrap_or(MembersFormat::Table)) };
    let summary = path.extension().and_then(|summary| summary.to_str()).unwrap_or_default().to_lowercase();
    let by_name = match summary.as_str() {
        "csv" => Some(MembersFormat::Csv),
        "jsonl" | "ndjson" => Some(MembersFormat::Jsonl),
        "parquet" => Some(MembersFormat::Parquet),
        _ => None,
    };
    format.or(by_name).ok_or_else(|| {
        let message = format!("the format of `{}` is unknown", path.display());
        Failure::usage(message, "use the extension .csv, .jsonl or .parquet, or add --format")
    })
}

/// The file to write; `None` for standard output, under any of its names.
fn file(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| !["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| *path == Path::new(name)))
}

fn needs_file(message: &str) -> Failure {
    Failure::usage(message, "name a file: -o members.parquet")
}

/// Whether the path exists and is neither a file nor a folder: a pipe, a socket or a device.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn open(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let file =
        file.map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", path.display()), "check the path of `-o`"))?;
    Ok(BufWriter::new(file))
}

struct To<'a> {
    client: &'a Client,
    group: &'a Group,
    settings: &'a Settings,
    privacy: &'a Privacy,
    progress: &'a Progress,
}

impl To<'_> {
    async fn write(&self, rows: impl Rows) -> Result<u64, ListingError> {
        let on_progress = |done: u64, total: Option<u64>| match total {
            Some(total) => self.progress.count("members", done, total),
            None => self.progress.say(format!("members: {done}")),
        };
        listing::list(self.client, self.group, self.settings.completeness.tolerance, self.privacy, rows, &on_progress).await
    }
}

/// A table for people. Each page has its own header, so that memory does not grow with the number of members.
struct Pages<W> {
    out: W,
    printed: u64,
}

const PAGE_ROWS: usize = 1_000;
const SHOWN: [(&str, &str); 6] =
    [("contact_id", "id"), ("role", "role"), ("external_id", "external id"), ("name", "name"), ("email", "e-mail"), ("country", "country")];

impl<W: Write> Pages<W> {
    fn new(out: W) -> Pages<W> {
        Pages { out, printed: 0 }
    }

    fn draw(rows: &DataFrame) -> PolarsResult<String> {
        let mut table = drawn(&SHOWN.map(|(_, head)| head));
        let columns = SHOWN.iter().map(|(name, _)| rows.column(name)?.str()).collect::<PolarsResult<Vec<_>>>()?;
        for row in 0..rows.height() {
            table.add_row(columns.iter().map(|column| Cell::new(one_line(column.get(row).unwrap_or_default()))));
        }
        Ok(trimmed(&table))
    }
}

impl<W: Write> Rows for Pages<W> {
    fn at_once(&self) -> usize {
        PAGE_ROWS
    }

    fn take(&mut self, rows: &DataFrame) -> Result<(), ListingError> {
        let page = if rows.height() > 0 {
            Self::draw(rows).map_err(ListingError::write)?
        } else if self.printed == 0 {
            "it has no members\n".to_string()
        } else {
            String::new()
        };
        self.printed += rows.height() as u64;
        self.out.write_all(page.as_bytes()).and_then(|()| self.out.flush()).map_err(|error| ListingError::write(error.into()))
    }

    fn restart(&mut self) -> Result<bool, ListingError> {
        Ok(false)
    }

    fn finish(mut self) -> Result<(), ListingError> {
        if self.printed > 0 {
            let members = if self.printed == 1 { "member" } else { "members" };
            writeln!(self.out, "\n{} {members}", grouped(i64::try_from(self.printed).unwrap_or(i64::MAX)))
                .and_then(|()| self.out.flush())
                .map_err(|error| ListingError::write(error.into()))?;
        }
        Ok(())
    }
}
