//! Log lines on standard error, above the progress line if there is one.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::arguments::{Global, LogFormat};
use super::json_lines::JsonLines;
use super::progress::Progress;
use super::run_tracker::RunTracker;

/// Sets up logging and progress: a live line on a terminal, log lines elsewhere.
pub(super) fn start(global: &Global, tracker: &RunTracker) -> Progress {
    let is_terminal = io::stderr().is_terminal();
    let draws = is_terminal && !global.quiet && global.verbose == 0 && global.log_format == LogFormat::Text;
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        // The live line shows the steps, so the log leaves out the lines about them.
        (false, 0) if draws => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let progress = Progress::new(draws, tracker.clone());
    let targets = Targets::new().with_target("cohorts", level).with_default(level.min(LevelFilter::WARN));
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let writer = AroundProgress(progress.clone());
    let registry = tracing_subscriber::registry().with(targets);
    // Only tests of this crate set up logging twice. Then the first logger stays.
    let _ = match global.log_format {
        LogFormat::Text => {
            let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).with_target(false);
            registry.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().with_writer(writer).event_format(JsonLines(tracker.clone()));
            registry.with(layer.fmt_fields(JsonFields::new())).try_init()
        }
    };
    progress
}

struct AroundProgress(Progress);

impl<'a> MakeWriter<'a> for AroundProgress {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter { progress: self.0.clone(), line: Vec::new() }
    }
}

/// Collects the text of one event and prints it as a whole.
struct LineWriter {
    progress: Progress,
    line: Vec<u8>,
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.line);
        // If standard error is closed, there is nowhere to report it.
        self.progress.aside(|| drop(io::stderr().lock().write_all(&line)));
    }
}
