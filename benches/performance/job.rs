//! One run of the built `cohorts`, watched from outside: its log says when what was done, Linux how much memory it held.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::queries::PROFILE;
use super::server::{NOW, Server, TAGS};
use super::{Failure, machine};

pub(crate) const TOKEN: &str = "bench";
/// The name of the job, and of its folder.
pub(crate) const NAME: &str = "bench";
const SEGMENTS: [&str; 5] = ["Active", "New", "Slipping Away", "Trial users", "Leads to call"];

/// A job file with its output beside it.
pub(crate) struct Job {
    pub file: PathBuf,
    pub folder: PathBuf,
    pub as_of: &'static str,
    /// Settings as environment variables: key and value.
    pub settings: Vec<(&'static str, String)>,
}

/// What a run did until its snapshot was published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    /// From the start of the process, some milliseconds before the first request, until the last list was done.
    pub fetched: f64,
    /// Likewise until the snapshot was published.
    pub published: f64,
    /// Rows of all lists: a contact counts in each group anew.
    pub rows: u64,
    /// The most memory until the snapshot was published.
    pub peak_kib: u64,
}

impl Job {
    /// Twelve groups, population everyone, in a folder of its own.
    pub(crate) fn new(folder: PathBuf, conversations: bool) -> Result<Job, Failure> {
        fs::create_dir_all(&folder)?;
        let quoted = |names: Vec<String>| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let text = format!(
            "name = {NAME:?}\ntimezone = \"Europe/Dublin\"\nsegments = [{}]\ntags = [{}]\npopulation = \"everyone\"\n\
             conversations = {conversations}\nprofile = [{}]\n[output]\ndir = {:?}\ncsv_max_rows = 0\n",
            quoted(SEGMENTS.map(str::to_string).into()),
            quoted((1..=TAGS).map(|number| format!("cohort {number:03}")).collect()),
            quoted(PROFILE.iter().map(|name| name.to_string()).collect()),
            folder.join("output")
        );
        let file = folder.join("job.toml");
        fs::write(&file, text)?;
        Ok(Job { file, folder, as_of: NOW, settings: Vec::new() })
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Job {
        self.settings.push((name, value.to_string()));
        self
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("output").join(NAME)
    }

    /// Runs to its end, history and reports included.
    pub(crate) fn run(&self, server: &Server) -> Result<Ran, Failure> {
        let begun = Instant::now();
        let mut run = Command::new(env!("CARGO_BIN_EXE_cohorts"));
        run.args(["run", "--log-format", "json", "--as-of", self.as_of, "--job"]).arg(&self.file);
        run.env("COHORTS__INTERCOM__BASE_URL", &server.address).env("INTERCOM_ACCESS_TOKEN", TOKEN);
        run.envs(self.settings.iter().map(|(name, value)| (name, value)));
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let process = child.id();
        let mut ran = Ran::default();
        let mut last = String::new();
        for line in BufReader::new(child.stderr.take().ok_or("the job has no standard error")?).lines() {
            let line = line?;
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            match event["message"].as_str() {
                Some("stream done") => {
                    ran.fetched = begun.elapsed().as_secs_f64();
                    ran.rows += event["rows"].as_u64().unwrap_or_default();
                }
                Some("snapshot published") => {
                    ran.published = begun.elapsed().as_secs_f64();
                    ran.peak_kib = machine::peak_memory(process).ok_or("the peak memory cannot be read")?;
                }
                _ => {}
            }
            last = line;
        }
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("the run ended with {status}: {last}").into());
        }
        if ran.published == 0.0 || ran.rows == 0 {
            return Err("the run's log does not say when the snapshot was published, or what came".into());
        }
        Ok(ran)
    }

    /// Throws away what a run left, so that the next one begins anew.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        let output: &Path = &self.folder.join("output");
        if output.exists() {
            fs::remove_dir_all(output)?;
        }
        Ok(())
    }
}
