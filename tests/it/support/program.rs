//! The built `cohorts`, with a clean environment and a time limit.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::TOKEN;

/// A run that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(90);

/// A command line that is about to be run.
pub(crate) struct Program {
    command: Command,
    limit: Duration,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `cohorts` with these arguments, no variable of the tests' own environment, and a token.
pub(crate) fn cohorts<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cohorts"));
    // A relative output folder must not be created in the sources.
    command.args(arguments).env_clear().env("INTERCOM_ACCESS_TOKEN", TOKEN).current_dir(std::env::temp_dir());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Program { command, limit: LIMIT }
}

/// `cohorts run --job FILE` with more arguments.
pub(crate) fn run(job: &Path, arguments: &[&str]) -> Program {
    cohorts([OsStr::new("run"), OsStr::new("--job"), job.as_os_str()]).arguments(arguments)
}

/// `cohorts run --job FILE --snapshot-only` with more arguments: where nobody looks at reports.
pub(crate) fn observe(job: &Path, arguments: &[&str]) -> Program {
    run(job, &["--snapshot-only"]).arguments(arguments)
}

/// `cohorts COMMAND --job FILE` with more arguments.
pub(crate) fn on(job: &Path, command: &str, arguments: &[&str]) -> Program {
    cohorts([OsStr::new(command), OsStr::new("--job"), job.as_os_str()]).arguments(arguments)
}

/// `cohorts backfill --job FILE` of a range of months, at an instant, with more arguments.
pub(crate) fn backfill(job: &Path, (from, to): (&str, &str), as_of: &str, arguments: &[&str]) -> Program {
    on(job, "backfill", &["--from", from, "--to", to, "--as-of", as_of]).arguments(arguments)
}

/// [`backfill`] with `--snapshot-only`: where nobody looks at reports.
pub(crate) fn observe_months(job: &Path, months: (&str, &str), as_of: &str, arguments: &[&str]) -> Program {
    backfill(job, months, as_of, &["--snapshot-only"]).arguments(arguments)
}

/// `cohorts` with this server and API version, without a job.
pub(crate) fn ask<A: AsRef<OsStr>>(base_url: &str, version: &str, arguments: impl IntoIterator<Item = A>) -> Program {
    cohorts(arguments).variable("COHORTS__INTERCOM__BASE_URL", base_url).variable("COHORTS__INTERCOM__API_VERSION", version)
}

impl Program {
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Program {
        self.command.args(arguments);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, current: &Path) -> Program {
        self.command.current_dir(current);
        self
    }

    pub(crate) fn without_token(mut self) -> Program {
        self.command.env_remove("INTERCOM_ACCESS_TOKEN");
        self
    }

    /// For the few runs that take long, especially next to other tests.
    pub(crate) fn with_limit(self, limit: Duration) -> Program {
        Program { limit, ..self }
    }

    /// Starts the program from a shell, after these commands. Resets the standard streams to their defaults.
    pub(crate) fn in_shell(self, commands: &str) -> Program {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{commands}; exec \"$0\" \"$@\"")]).arg(self.command.get_program()).args(self.command.get_args());
        let variables = self.command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.env_clear().envs(variables).current_dir(std::env::temp_dir());
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command: shell, limit: self.limit }
    }

    pub(crate) fn standard_output(mut self, to: impl Into<Stdio>) -> Program {
        self.command.stdout(to);
        self
    }

    pub(crate) fn standard_error(mut self, to: impl Into<Stdio>) -> Program {
        self.command.stderr(to);
        self
    }

    /// Runs it to its end.
    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }

    /// Runs it to its end, which must be a success.
    pub(crate) fn succeed(self) -> Finished {
        let finished = self.finish();
        finished.check_code(0);
        finished
    }

    /// Starts it in the background.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let gather = |mut stream: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                String::from_utf8(bytes).unwrap()
            })
        };
        let stdout = child.stdout.take().map(|stream| gather(Box::new(stream)));
        let stderr = child.stderr.take().map(|stream| gather(Box::new(stream)));
        Running { child, stdout, stderr, limit: self.limit }
    }

    /// Starts it and waits for its first line of standard output.
    pub(crate) fn start_with_line(mut self) -> (Child, String) {
        let mut child = self.command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().to_string())
    }
}

/// A running program; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    limit: Duration,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.finish_watching(|| None).0
    }

    /// Waits for its end and polls a value meanwhile. Returns the last value.
    pub(crate) fn finish_watching(mut self, poll: impl Fn() -> Option<u64>) -> (Finished, Option<u64>) {
        let mut last = None;
        let status = self.wait(|| last = poll().or(last));
        let text = |stream: Option<JoinHandle<String>>| stream.map(|stream| stream.join().unwrap()).unwrap_or_default();
        (Finished { code: status.code(), stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }, last)
    }

    fn wait(&mut self, mut meanwhile: impl FnMut()) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if begun.elapsed() > self.limit {
                self.child.kill().unwrap();
                let stderr = self.stderr.take().map(|stream| stream.join().unwrap());
                panic!("still running after {:?}; stderr:\n{}", self.limit, stderr.unwrap_or_default());
            }
            meanwhile();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    #[track_caller]
    pub(crate) fn check_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
    }

    /// Asserts that it ended by a signal.
    #[track_caller]
    pub(crate) fn check_killed(&self) {
        assert_eq!(self.code, None, "{}", self.stderr);
    }

    /// Asserts the exit code, exactly one error on standard error that contains these words, a hint, and an empty standard output.
    #[track_caller]
    pub(crate) fn check_failure(&self, code: i32, named: &[&str]) {
        self.check_code(code);
        let errors = self.stderr.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "exactly one error:\n{}", self.stderr);
        let error = &self.stderr[self.stderr.find("error").unwrap()..];
        for word in named {
            assert!(error.contains(word), "the error does not say `{word}`:\n{}", self.stderr);
        }
        // clap reports wrong arguments, and its last line points to the help.
        assert!(error.contains("hint: ") || error.contains("try '--help'"), "no hint:\n{error}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.stdout, "", "a failure prints no result");
    }
}
