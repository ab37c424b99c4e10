//! `members`: prints the members of one group, contacts or companies, or writes them into a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use comfy_table::Cell;
use polars::prelude::{DataFrame, DataType, PolarsResult};

use super::arguments::{Members, MembersFormat};
use super::failure::Failure;
use super::progress::Progress;
use super::summary::{drawn, trimmed};
use super::values::MembersOf;
use super::{clock, run};
use archive::table::Table;
use domain::{Group, GroupKind, GroupName, SubscriptionType, differs_from_listing};
use intercom::{Client, Counted};
use job::listing::{self, COMPANIES, LISTING, Lines, ListingError, ParquetFile, Rows, Source, TextFile};
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
    let MembersOf { of, name } = &arguments.group;
    let (group, count) = find(&client, *of, name, &settings.intercom.api_version).await?;

    let shown = match of {
        Counted::Companies => &Shown::COMPANIES,
        Counted::People | Counted::Conversations => &Shown::CONTACTS,
    };
    let table = shown.table;
    let is_file = format != MembersFormat::Table;
    let to = To { client: &client, group: &group, settings: &settings, privacy: &privacy, progress, shown, is_file };
    let stdout = || BufWriter::new(io::stdout());
    let listed = match (output, format) {
        (None, MembersFormat::Table) => to.write(Pages::new(stdout(), shown)).await,
        (None, MembersFormat::Csv) => to.write(Lines::csv(stdout(), table)).await,
        (None, MembersFormat::Jsonl) => to.write(Lines::jsonl(stdout(), table)).await,
        (None, MembersFormat::Parquet) => return Err(needs_file("Parquet cannot be printed")),
        // Pipes and devices are written to directly.
        (Some(path), MembersFormat::Table) if is_special(path) => to.write(Pages::new(open(path)?, shown)).await,
        (Some(path), MembersFormat::Csv) if is_special(path) => to.write(Lines::csv(open(path)?, table)).await,
        (Some(path), MembersFormat::Jsonl) if is_special(path) => to.write(Lines::jsonl(open(path)?, table)).await,
        (Some(path), MembersFormat::Parquet) if is_special(path) => {
            return Err(needs_file("Parquet cannot be written to a pipe or a device"));
        }
        (Some(path), MembersFormat::Table) => to.write(TextFile::create(path, Pages::new, shown)?).await,
        (Some(path), MembersFormat::Csv) => to.write(TextFile::create(path, Lines::csv, table)?).await,
        (Some(path), MembersFormat::Jsonl) => to.write(TextFile::create(path, Lines::jsonl, table)?).await,
        (Some(path), MembersFormat::Parquet) => to.write(ParquetFile::create(path, table)?).await,
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

/// The group of this name, and the number of its members if the API's list of groups shows it.
async fn find(client: &Client, of: Counted, name: &GroupName, api_version: &str) -> Result<(Group, Option<u64>), Failure> {
    let Some(listed) = client.groups(of, name.kind).await? else {
        return Err(Failure::usage(
            format!("API version {api_version} has no {}s of companies; 1.0 to 1.4 have", name.kind),
            "name a tag, as in company-tag:VIP; or set `intercom.api_version`",
        ));
    };
    let groups: Vec<Group> = listed.iter().map(|listed| listed.group.clone()).collect();
    let group = job::resolve(name, &groups, &[]).map_err(|unresolved| match of {
        Counted::Companies => {
            Failure::from(unresolved).but(&format!("`cohorts counts --of companies --by {}` lists them with their IDs", name.kind))
        }
        Counted::People | Counted::Conversations => unresolved.into(),
    })?;
    let group = group.0;
    let count = listed.into_iter().find(|listed| listed.group == group).and_then(|listed| listed.count);
    // The list of tags counts contacts, so its count does not apply to companies.
    let count = count.filter(|_| of == Counted::People || group.kind == GroupKind::Segment);
    Ok((group, count))
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
    shown: &'static Shown,
    /// Whether all columns are written. A table for people has only a few.
    is_file: bool,
}

impl To<'_> {
    async fn write(&self, rows: impl Rows) -> Result<u64, ListingError> {
        let on_progress = |done: u64, total: Option<u64>| match total {
            Some(total) => self.progress.count(self.shown.several, done, total),
            None => self.progress.say(format!("{}: {done}", self.shown.several)),
        };
        let mut source = Source {
            client: self.client,
            privacy: self.privacy,
            types: Vec::new(),
            tolerance: self.settings.completeness.tolerance,
            completes: self.is_file,
        };
        match self.shown.of {
            Counted::Companies => listing::list(self.client.companies(self.group), &source, rows, &on_progress).await,
            Counted::People | Counted::Conversations => {
                let members = self.client.members(self.group, None, None).await?;
                if self.is_file {
                    source.types = self.subscription_types().await;
                }
                listing::list(members, &source, rows, &on_progress).await
            }
        }
    }
}

impl To<'_> {
    /// The workspace's types of subscriptions. They only give names, so a failure is a warning.
    async fn subscription_types(&self) -> Vec<SubscriptionType> {
        let types = self.client.subscription_types().await.inspect_err(|error| {
            tracing::warn!(%error, "the types of subscriptions could not be listed; their names are left out");
        });
        types.ok().flatten().unwrap_or_default()
    }
}

/// What is listed, contacts or companies, and how a table for people shows it.
struct Shown {
    of: Counted,
    table: &'static Table,
    /// The columns of the table for people, with their heads.
    columns: &'static [(&'static str, &'static str)],
    one: &'static str,
    several: &'static str,
}

impl Shown {
    const CONTACTS: Shown = Shown {
        of: Counted::People,
        table: &LISTING,
        columns: &[
            ("contact_id", "id"),
            ("role", "role"),
            ("external_id", "external id"),
            ("name", "name"),
            ("email", "e-mail"),
            ("country", "country"),
        ],
        one: "member",
        several: "members",
    };
    const COMPANIES: Shown = Shown {
        of: Counted::Companies,
        table: &COMPANIES,
        columns: &[
            ("company_id", "company id"),
            ("id", "id"),
            ("name", "name"),
            ("plan", "plan"),
            ("user_count", "users"),
            ("industry", "industry"),
        ],
        one: "company",
        several: "companies",
    };
}

/// A table for people. Each page has its own header, so that memory does not grow with the number of members.
struct Pages<W> {
    out: W,
    shown: &'static Shown,
    printed: u64,
}

const PAGE_ROWS: usize = 1_000;

impl<W: Write> Pages<W> {
    fn new(out: W, shown: &'static Shown) -> Pages<W> {
        Pages { out, shown, printed: 0 }
    }

    fn draw(&self, rows: &DataFrame) -> PolarsResult<String> {
        let (names, heads): (Vec<&str>, Vec<&str>) = self.shown.columns.iter().copied().unzip();
        let mut table = drawn(&heads);
        let columns = names.iter().map(|name| rows.column(name)?.cast(&DataType::String)).collect::<PolarsResult<Vec<_>>>()?;
        let columns = columns.iter().map(|column| column.str()).collect::<PolarsResult<Vec<_>>>()?;
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
            self.draw(rows).map_err(ListingError::write)?
        } else if self.printed == 0 {
            format!("it has no {}\n", self.shown.several)
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
            let members = if self.printed == 1 { self.shown.one } else { self.shown.several };
            writeln!(self.out, "\n{} {members}", grouped(i64::try_from(self.printed).unwrap_or(i64::MAX)))
                .and_then(|()| self.out.flush())
                .map_err(|error| ListingError::write(error.into()))?;
        }
        Ok(())
    }
}
