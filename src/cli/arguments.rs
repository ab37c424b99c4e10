//! The commands and flags. No flag has a default for a key of the settings: such a default would override every settings file.

mod simulate;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::values::{MembersOf, admin_id, contact_id, email_address, instant, members_of, month};
use domain::Month;
use job::settings::Sources;

pub(super) use simulate::Simulate;

const AFTER_HELP: &str = "\
Exit codes:
    0  done
    1  a bug, or an unexpected failure
    2  usage or configuration, an output that cannot be written, a month that has not begun
    3  not authorised
    4  a group, or a contact to tag, was not found or is ambiguous; the others were done
    5  the API could not be reached or kept failing, or the disk is full, or a limit on the size
       of files was reached: run again to continue
    6  the data failed a completeness check; nothing was published
    7  another process works on this job
    8  `status --check` found something
  130  interrupted; run again to continue";

/// Month-end cohorts of an Intercom workspace: who is in each tag and segment, who joined, who left, who stayed
#[derive(Debug, Parser)]
#[command(name = "cohorts", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub(super) struct Global {
    /// The format of log lines on standard error
    #[arg(long, value_enum, value_name = "FORMAT", global = true, default_value = "text", help_heading = "Everywhere")]
    pub log_format: LogFormat,
    /// Log more: once for steps and requests, twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Everywhere")]
    pub verbose: u8,
    /// Log only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Everywhere")]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Try everything: an embedded Intercom, some months, and the job at each month's end
    Demo(Demo),
    /// Write a job file from the tags and segments that the workspace has
    ///
    /// Lists them with their sizes and asks which to observe, or takes those that --tags and --segments name. The file has the workspace's
    /// time zone. A file that exists is never overwritten.
    Init(Init),
    /// The month-end job: fetch, snapshot, history, reports
    Run(Run),
    /// Publish past months that have no snapshot: members as they are now, conversations as they were
    ///
    /// Members, contacts and the conversations of all months are read once. Members are those at the time of the observation (basis
    /// `late`), or reconstructed from the dates of tags (`reconstructed`, see `tag_history`). Such a month reports its own counts
    /// and is not compared with other months.
    Backfill(Backfill),
    /// Rebuild history and reports from stored snapshots, offline
    Report(Report),
    /// Show the months of a job: basis, sizes, gaps, stale reports, unfinished work
    Status(Status),
    /// Copy snapshots, history, reports and applied tags to a folder or a bucket
    ///
    /// What is there already is not written again, so a copy that was interrupted continues. Every file is compared with its hash in both
    /// places. No month is removed, and none is replaced by an older or a worse one: such months are listed, and the exit code is 6.
    Copy(Copy),
    /// Find problems before a run: settings, token, permissions, groups, disk
    ///
    /// Ends with the lowest exit code of the errors found, or with 0 if there are none; warnings do not count. Nothing is written
    /// to Intercom, and nothing stays in the output: only a bucket and an engine are tried with small files.
    Check(Check),
    /// Remove one person from every snapshot, history, report and unfinished work
    ///
    /// Each folder is written again without the person and replaced in one step; history and reports are rebuilt. If it is
    /// interrupted, the next call continues. Only the number of forgotten persons is recorded. A person who is still in Intercom
    /// comes back with the next run: delete the person there first.
    Forget(Forget),
    /// List the workspace's tags, with IDs and the number of contacts
    Tags(Groups),
    /// List the workspace's segments, with IDs and the number of contacts
    Segments(Groups),
    /// Count users, leads, companies, tags and segments, or count by tag or segment
    Counts(Counts),
    /// List the customers, or the companies, in one tag or segment as they are now, every page
    Members(Members),
    /// Add a tag to users, leads, companies or conversations in bulk; a missing tag is created
    Tag(Tagging),
    /// Remove a tag from users, leads, companies or conversations in bulk
    Untag(Tagging),
    /// Print the data dictionary: every table's columns, types, units and the meaning of null
    Schema(Schema),
    /// Run only the embedded Intercom, on loopback, to test clients
    Simulate(Simulate),
    /// Print shell completions
    Completions(Completions),
}

impl Command {
    /// The name of a command that works on a job's months: its log ends with the run summary. `None` for other commands.
    pub(super) fn on_months(&self) -> Option<&'static str> {
        match self {
            Command::Run(_) => Some("run"),
            Command::Backfill(_) => Some("backfill"),
            Command::Report(_) => Some("report"),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The folder for the results, in a folder `demo`; an earlier demo there is replaced
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub out: PathBuf,
    /// The number of months; the last one is October 2026
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=34))]
    pub months: u32,
    /// About how many contacts the workspace has at the end
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub contacts: u32,
    /// The seed of the generated workspace: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct JobFile {
    /// The job: which groups, which time zone (see jobs/month-end.toml)
    #[arg(long, value_name = "FILE")]
    pub job: PathBuf,
    /// Settings that several jobs share (see config/default.toml for every key)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl JobFile {
    /// Where the settings of this job come from.
    pub(super) fn sources(&self) -> Sources {
        Sources { config: self.config.clone(), job: Some(self.job.clone().into()), flags: Vec::new() }
    }
}

/// For commands that read a workspace without a job.
#[derive(Debug, Args)]
pub(super) struct Workspace {
    /// Settings: region, API version, token file (see config/default.toml for every key)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Workspace {
    pub(super) fn sources(&self) -> Sources {
        Sources { config: self.config.clone(), job: None, flags: Vec::new() }
    }
}

#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    pub workspace: Workspace,
    /// The job file to write; its name is the job's
    #[arg(short, long, value_name = "FILE", default_value = "jobs/customers.toml")]
    pub output: PathBuf,
    /// Tags to observe: names, IDs or id:<ID>
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub tags: Vec<String>,
    /// Segments to observe
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub segments: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Groups {
    #[command(flatten)]
    pub workspace: Workspace,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Counts {
    #[command(flatten)]
    pub workspace: Workspace,
    /// What to count; by default everything, and with --by users and leads together
    #[arg(long, value_enum, value_name = "WHAT")]
    pub of: Option<Of>,
    /// Count in each tag or in each segment
    #[arg(long, value_enum, value_name = "GROUP")]
    pub by: Option<By>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Of {
    /// Users and leads
    Users,
    Companies,
    /// Without --by: by their states
    Conversations,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    Tag,
    Segment,
}

#[derive(Debug, Args)]
pub(super) struct Members {
    #[command(flatten)]
    pub workspace: Workspace,
    /// tag:NAME or segment:NAME, or company-tag:NAME or (on 1.x) company-segment:NAME for companies; an ID or id:<ID> can be used
    /// for the name
    #[arg(value_name = "GROUP", value_parser = members_of)]
    pub group: MembersOf,
    /// The format; by default that of FILE's extension, or a table without a file
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<MembersFormat>,
    /// Write to a file, which appears when all members came; by default to standard output, page by page
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Use this instant as the current time; only with an API on this machine
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MembersFormat {
    /// For people: some columns
    Table,
    /// For spreadsheets: everything known, a member a line
    Csv,
    /// For programs: everything known, a JSON object a line
    Jsonl,
    /// For analysts: everything known; needs a file
    Parquet,
}

#[derive(Debug, Args)]
pub(super) struct Tagging {
    #[command(flatten)]
    pub workspace: Workspace,
    /// The tag: its name, its ID, or id:<ID>
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A user or lead by Intercom's ID; any number of times
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
    /// A user by the workspace's own ID (external_id); any number of times
    #[arg(long, value_name = "ID")]
    pub user_id: Vec<String>,
    /// A user by e-mail address; any number of times
    #[arg(long, value_name = "ADDRESS")]
    pub email: Vec<String>,
    /// A company by the workspace's own ID; any number of times
    #[arg(long, value_name = "ID")]
    pub company_id: Vec<String>,
    /// A conversation by Intercom's ID, on 2.x; any number of times
    #[arg(long, value_name = "ID")]
    pub conversation_id: Vec<String>,
    /// The admin in whose name conversations are tagged; by default the one to whom the token belongs
    #[arg(long, value_name = "ID", value_parser = admin_id)]
    pub admin_id: Option<String>,
    /// A CSV with any of the columns id, user_id, email, company_id, conversation_id; `-` for standard input
    #[arg(long, value_name = "FILE.csv")]
    pub from: Option<PathBuf>,
    /// Look up the contacts and conversations, print the requests that would be sent, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub job: JobFile,
    /// The month to observe; by default the last one that has ended in the job's time zone
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub month: Option<Month>,
    /// Resolve groups, request sizes, print the fetch plan, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a snapshot of the same basis
    #[arg(long)]
    pub replace: bool,
    /// Publish although members are missing; `data_quality` says which
    #[arg(long)]
    pub accept_incomplete: bool,
    /// Publish the snapshot only; `cohorts report` or the next run builds history and reports
    #[arg(long, conflicts_with = "apply_tags")]
    pub snapshot_only: bool,
    /// Write the tags of the job's rules to Intercom: members get the tag, former members that this job tagged lose it
    #[arg(long, conflicts_with = "dry_run")]
    pub apply_tags: bool,
    /// With --apply-tags: change the tags even if more would change than `max_tag_change` allows
    #[arg(long, requires = "apply_tags")]
    pub force_tags: bool,
    /// Use this instant as the current time; only with an API on this machine
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(super) struct Backfill {
    #[command(flatten)]
    pub job: JobFile,
    /// The first month
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub from: Month,
    /// The last month
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub to: Month,
    /// Resolve groups, request sizes, print the fetch plan, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Replace snapshots of the same basis
    #[arg(long)]
    pub replace: bool,
    /// Publish the snapshots only; `cohorts report --all` or the next run builds history and reports
    #[arg(long)]
    pub snapshot_only: bool,
    /// Use this instant as the current time; only with an API on this machine
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    #[command(flatten)]
    pub job: JobFile,
    /// The month to rebuild; by default the newest one
    #[arg(long, value_name = "YYYY-MM", value_parser = month, conflicts_with = "all")]
    pub month: Option<Month>,
    /// Rebuild every month
    #[arg(long)]
    pub all: bool,
    /// Give up the month if its snapshot is damaged: removes its snapshot, history and reports, and rebuilds the later months
    /// without it. If there is a backup, restore the snapshot instead: the month cannot be fetched again
    #[arg(long, requires = "month")]
    pub accept_loss: bool,
    /// Write the counting of the month as one SQL script for `spark-sql -f`, and build nothing. After it has run, `cohorts report`
    /// builds history and reports from what it wrote
    #[arg(long, value_name = "FILE", requires = "month", conflicts_with_all = ["accept_loss", "all"])]
    pub engine_script: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub job: JobFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Read every byte of snapshots, histories and reports, and exit with 8 if something is missing, stale or damaged
    #[arg(long)]
    pub check: bool,
    /// Use this instant as the current time; only with an API on this machine
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("person").required(true).args(["contact", "email"]))]
pub(super) struct Forget {
    #[command(flatten)]
    pub job: JobFile,
    /// Intercom's ID of the contact
    #[arg(long, value_name = "ID", value_parser = contact_id)]
    pub contact: Option<String>,
    /// The e-mail address: every contact that ever had it
    #[arg(long, value_name = "ADDRESS", value_parser = email_address)]
    pub email: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Copy {
    #[command(flatten)]
    pub job: JobFile,
    /// Where to: a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, like `output.dir`
    #[arg(long, value_name = "DIR|URI")]
    pub to: String,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub job: JobFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// One table: a report by its name, or snapshot/NAME or history/NAME; by default all
    #[arg(value_name = "REPORT")]
    pub table: Option<String>,
    /// Print the SQL of the report: every step that runs for it
    #[arg(long, group = "of_a_job", conflicts_with_all = ["format", "json", "markdown"])]
    pub sql: bool,
    /// Print the reports for another tool
    #[arg(long, value_enum, value_name = "FORMAT", group = "of_a_job", conflicts_with_all = ["json", "markdown"])]
    pub format: Option<SchemaFormat>,
    /// The job whose rules are in the SQL, or whose reports the other tool reads; without it, the demo's
    #[arg(long, value_name = "FILE", requires = "of_a_job")]
    pub job: Option<PathBuf>,
    /// Settings that several jobs share
    #[arg(long, value_name = "FILE", requires = "job")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print a Markdown document
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaFormat {
    /// Sources for dbt, with tests (read by dbt-duckdb)
    Dbt,
    /// A script of views over all months for DuckDB
    Duckdb,
    /// An Open Data Contract
    Odcs,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_simulator_keeps_pages_of_a_world_that_stands_still() {
        let parse = |more: &[&str]| <Cli as clap::Parser>::try_parse_from([&["cohorts", "simulate", "--prepared-pages"], more].concat());
        assert!(parse(&[]).unwrap_err().to_string().contains("--now <INSTANT>"));
        assert!(parse(&["--now", "2026-11-01T02:00:00Z"]).is_ok());
    }

    #[test]
    fn the_help_of_the_server_names_every_kind_of_fault() {
        let mut commands = <Cli as clap::CommandFactory>::command();
        let help = commands.find_subcommand_mut("simulate").unwrap().render_long_help().to_string();
        assert!(help.ends_with(&format!("Kinds of faults:\n{}\n", simulator::Faults::kinds())), "{help}");
    }
}
