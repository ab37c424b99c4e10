//! The command line: arguments, and what of a run becomes an exit code, a line on standard error or a result on
//! standard output. One command a file. The only part of the program that asks the wall clock what time it is.

mod arguments;
mod backfill;
mod check;
mod clock;
mod completions;
mod counts;
mod demo;
mod failure;
mod forget;
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

/// Of a thread that may run queries: Polars goes through a plan by recursion, which in an unoptimised build takes more than
/// the usual two MiB. Only what is used of it takes memory.
const STACK: usize = 16 << 20;

/// Parses, runs, and answers with the exit code that the README lists.
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
        Err(message) => return tell(&answer(&message), LogFormat::Text),
    };
    let tracker = RunTracker::begin(cli.command.on_months(), clock::wall_clock());
    let progress = logging::start(&cli.global, &tracker);
    let log_format = cli.global.log_format;
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let ended = Err(Failure::unexpected("the runtime could not be started", error));
            let code = tell(&ended, log_format);
            if let Some(summary) = RunSummary::of(&tracker, &ended, clock::wall_clock()) {
                summary.log();
            }
            return code;
        }
    };
    let ended = runtime.block_on(work(cli.command, &progress, &tracker));
    progress.finish();
    let summary = RunSummary::of(&tracker, &ended, clock::wall_clock());
    let code = tell(&ended, log_format);
    if let Some(summary) = summary {
        // Whoever interrupts this waits no longer; what the run came to stands.
        runtime.block_on(async {
            tokio::select! {
                () = summary.notify() => {}
                () = interrupted() => {}
            }
        });
        summary.log();
    }
    // Blocking work that an interrupted command left behind is not waited for: what it writes is staged, not shown.
    runtime.shutdown_background();
    code
}

/// What clap has to say in place of a command.
fn answer(message: &clap::Error) -> Result<u8, Failure> {
    let printed = message.print().and_then(|()| io::stdout().flush());
    // Help and version are results, a usage error is not; clap knows which goes where.
    if message.use_stderr() {
        return Ok(failure::USAGE);
    }
    stdout::result(printed).map(|()| 0)
}

async fn work(command: Command, progress: &progress::Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    let is_server = matches!(command, Command::Simulate(_));
    // They have to say what was done until then.
    let ends_by_itself = matches!(command, Command::Tag(_) | Command::Untag(_));
    tokio::select! {
        ended = dispatch(command, progress, tracker) => ended,
        never = progress.keep_telling() => match never {},
        // The embedded Intercom alone has nothing that an interruption could cut short.
        () = interrupted(), if !ends_by_itself => if is_server { Ok(failure::INTERRUPTED) } else { Err(Failure::interrupted()) },
    }
}

/// Tells a failure, and gives the exit code.
fn tell(ended: &Result<u8, Failure>, log_format: LogFormat) -> ExitCode {
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
        Command::Forget(arguments) => forget::run(arguments, progress).await,
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
