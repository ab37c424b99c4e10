//! The command line: arguments, exit codes, messages on standard error and results on standard output. Each command has its own file. Only
//! this part of the program reads the wall clock, with these exceptions: the lock and the cache of a bucket, the rate limit of a server
//! that sends no `Date`, and the embedded Intercom.

mod arguments;
mod backfill;
mod check;
mod clock;
mod completions;
mod copy;
mod counts;
mod demo;
mod failure;
mod forget;
mod init;
mod json_lines;
mod logging;
mod members;
mod notify;
mod plan;
mod progress;
mod report;
mod run;
mod run_summary;
mod run_tracker;
mod schema;
mod signals;
mod simulate;
mod status;
mod stdout;
mod summary;
mod tag;
mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use arguments::{Cli, Command, LogFormat};
use failure::Failure;
use run_summary::RunSummary;
use run_tracker::RunTracker;
use signals::interrupted;

use domain::GroupKind;
use intercom::Change;

/// The stack size in bytes of a thread that may run queries. Polars processes a plan by recursion, which needs more than the usual
/// two MiB in an unoptimised build. Unused stack takes no memory.
const STACK: usize = 16 << 20;

/// Parses the arguments, runs the command, and returns one of the exit codes that the README lists.
pub fn main() -> ExitCode {
    // Everything this program writes is readable by its owner only.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    if let Ok(runtime) = &runtime {
        let _inside = runtime.enter();
        signals::survive_size_limit();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return report_failure(&answer(&message), LogFormat::Text),
    };
    let tracker = RunTracker::begin(cli.command.on_months(), clock::wall_clock());
    let progress = logging::start(&cli.global, &tracker);
    let log_format = cli.global.log_format;
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let ended = Err(Failure::unexpected("the runtime could not be started", error));
            let code = report_failure(&ended, log_format);
            if let Some(summary) = RunSummary::of(&tracker, &ended, clock::wall_clock()) {
                summary.log();
            }
            return code;
        }
    };
    let ended = runtime.block_on(work(cli.command, &progress, &tracker));
    progress.finish();
    let summary = RunSummary::of(&tracker, &ended, clock::wall_clock());
    let code = report_failure(&ended, log_format);
    if let Some(summary) = summary {
        // An interrupt ends the wait for the webhook. The exit code stays the same.
        runtime.block_on(async {
            tokio::select! {
                () = summary.notify() => {}
                () = interrupted() => {}
            }
        });
        summary.log();
    }
    // Do not wait for blocking work of an interrupted command: its writes are staged, not published.
    runtime.shutdown_background();
    code
}

/// Prints the help, the version or a usage error of clap.
fn answer(message: &clap::Error) -> Result<u8, Failure> {
    let printed = message.print().and_then(|()| io::stdout().flush());
    // Help and version are results, but a usage error is not. clap prints each to the right output.
    if message.use_stderr() {
        return Ok(failure::USAGE);
    }
    stdout::result(printed).map(|()| 0)
}

async fn work(command: Command, progress: &progress::Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    let is_server = matches!(command, Command::Simulate(_));
    // These commands handle an interrupt themselves: they report what was done before it.
    let ends_by_itself = matches!(command, Command::Tag(_) | Command::Untag(_));
    tokio::select! {
        ended = dispatch(command, progress, tracker) => ended,
        never = progress.keep_updating() => match never {},
        // An interrupt is the usual end of the embedded Intercom, so it is not a failure.
        () = interrupted(), if !ends_by_itself => {
            job::interrupt_engines();
            if is_server { Ok(failure::INTERRUPTED) } else { Err(Failure::interrupted()) }
        }
    }
}

/// Reports a failure and returns the exit code.
fn report_failure(ended: &Result<u8, Failure>, log_format: LogFormat) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(*code),
        Err(failure) => {
            match log_format {
                LogFormat::Text => stdout::print_error(&failure.text()),
                LogFormat::Json => failure.log(),
            }
            ExitCode::from(failure.code())
        }
    }
}

async fn dispatch(command: Command, progress: &progress::Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments, progress, tracker).await,
        Command::Backfill(arguments) => backfill::run(arguments, progress, tracker).await,
        Command::Report(arguments) => report::run(arguments, progress, tracker).await,
        Command::Status(arguments) => status::run(&arguments),
        Command::Check(arguments) => check::run(&arguments, progress).await,
        Command::Copy(arguments) => copy::run(arguments, progress).await,
        Command::Forget(arguments) => forget::run(arguments, progress).await,
        Command::Init(arguments) => init::run(&arguments, progress).await,
        Command::Demo(arguments) => demo::run(arguments, progress).await,
        Command::Simulate(arguments) => simulate::run(arguments).await,
        Command::Tags(arguments) => counts::groups(&arguments, GroupKind::Tag, progress).await,
        Command::Segments(arguments) => counts::groups(&arguments, GroupKind::Segment, progress).await,
        Command::Counts(arguments) => counts::counts(&arguments, progress).await,
        Command::Members(arguments) => members::run(&arguments, progress).await,
        Command::Tag(arguments) => tag::run(&arguments, Change::Tag, progress).await,
        Command::Untag(arguments) => tag::run(&arguments, Change::Untag, progress).await,
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
