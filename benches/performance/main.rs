//! The figures of docs/performance.md: what is to be reached, and what this machine reaches.
//!
//!     cargo bench --bench performance                            # everything
//!     cargo bench --bench performance -- cpu latency             # some of: cpu latency limit memory analysis
//!     cargo bench --bench performance -- --contacts 5000         # to try it: all with so many contacts
//!     cargo bench --bench performance -- --write                 # into docs/performance.md, too
//!
//! Each scenario starts `cohorts simulate` and `cohorts run` as processes of their own; bounds are measured in the same
//! run, one beside the other. A figure that misses is told as missed; the exit code is 1 only where something could not
//! be measured. Its folders are in TMPDIR.

mod analysis;
mod cpu;
mod job;
mod latency;
mod limit;
mod machine;
mod memory;
#[path = "../shared/queries.rs"]
mod queries;
mod reader;
mod server;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::runtime::Runtime;

use table::Figure;

type Failure = Box<dyn std::error::Error>;
type Scenario = fn(&Bench) -> Result<Vec<Figure>, Failure>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("cpu", cpu::measure),
    ("latency", latency::measure),
    ("limit", limit::measure),
    ("memory", memory::measure),
    ("analysis", analysis::measure),
];

/// What every scenario works with.
struct Bench {
    runtime: Runtime,
    folder: Folder,
    /// Instead of each scenario's own number; to try it.
    contacts: Option<usize>,
}

impl Bench {
    fn contacts(&self, of_scenario: usize) -> usize {
        self.contacts.unwrap_or(of_scenario)
    }
}

/// A folder that goes when the bench ends, however it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, Failure> {
        let path = std::env::temp_dir().join(format!("cohorts-performance-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() -> Result<ExitCode, Failure> {
    let asked = Asked::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(reader::CORES).enable_all().build()?;
    let bench = Bench { runtime, folder: Folder::new()?, contacts: asked.contacts };
    let mut figures = Vec::new();
    let mut failed = false;
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| asked.has(name)) {
        say(&format!("{name} …"))?;
        match scenario(&bench) {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                failed = true;
                say(&format!("{name} could not be measured: {error}"))?;
            }
        }
    }
    let command = format!("cargo bench --bench performance{}", asked.text());
    let report = format!("{}\n{}", machine::describe(&command), table::markdown(&figures));
    write!(std::io::stdout(), "{report}")?;
    if asked.writes {
        if failed {
            return Err("docs/performance.md stays as it is: not everything was measured".into());
        }
        table::put_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md"), &report)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// On standard error: standard output is the table.
fn say(text: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stderr(), "{text}")?)
}

/// What the command line asks for.
struct Asked {
    scenarios: Vec<String>,
    contacts: Option<usize>,
    writes: bool,
}

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Asked, Failure> {
        let mut asked = Asked { scenarios: Vec::new(), contacts: None, writes: false };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--write" => asked.writes = true,
                "--contacts" => asked.contacts = Some(arguments.next().ok_or("--contacts needs a number")?.parse()?),
                name if SCENARIOS.iter().any(|(known, _)| *known == name) => asked.scenarios.push(argument),
                _ => return Err(format!("`{argument}` is no scenario and no option; see the head of benches/performance/main.rs").into()),
            }
        }
        if asked.writes && (asked.contacts.is_some() || !asked.scenarios.is_empty()) {
            return Err("--write is for everything at its size: without --contacts and without names of scenarios".into());
        }
        if asked.scenarios.is_empty() {
            asked.scenarios = SCENARIOS.iter().map(|(name, _)| name.to_string()).collect();
        }
        Ok(asked)
    }

    fn has(&self, scenario: &str) -> bool {
        self.scenarios.iter().any(|name| name == scenario)
    }

    /// What stands behind the command.
    fn text(&self) -> String {
        let mut words = Vec::new();
        if self.scenarios.len() < SCENARIOS.len() {
            words.extend(self.scenarios.iter().cloned());
        }
        words.extend(self.contacts.map(|contacts| format!("--contacts {contacts}")));
        words.extend(self.writes.then(|| "--write".to_string()));
        if words.is_empty() { String::new() } else { format!(" -- {}", words.join(" ")) }
    }
}
