//! Job files, and a folder for one job and its output.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::tables::Table;
use super::temporary_folder;

/// The contents of a job file, without server and output folder.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub timezone: Option<String>,
    pub tags: Vec<String>,
    pub segments: Vec<String>,
    /// More lines at the top.
    pub top: Vec<String>,
    /// More lines under `[intercom]`.
    pub intercom: Vec<String>,
    /// More sections at the end.
    pub sections: Vec<String>,
}

/// A job with a quick run: one tag, only its members, no conversations.
pub(crate) fn small_job() -> Job {
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["value_lead"]), ..Job::empty() };
    job.with_top("conversations = false").with_top("population = \"cohorts\"").with_top("profile = [\"role\"]")
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

impl Job {
    pub(crate) fn empty() -> Job {
        Job { timezone: None, tags: Vec::new(), segments: Vec::new(), top: Vec::new(), intercom: Vec::new(), sections: Vec::new() }
    }

    pub(crate) fn with_top(mut self, line: impl Into<String>) -> Job {
        self.top.push(line.into());
        self
    }

    pub(crate) fn with_intercom(mut self, line: impl Into<String>) -> Job {
        self.intercom.push(line.into());
        self
    }

    /// With CSV files, pages and workbooks, which most tests do not look at.
    pub(crate) fn with_all_formats(self) -> Job {
        self.with_section("[output]\nformats = [\"parquet\", \"csv\", \"html\", \"xlsx\"]")
    }

    pub(crate) fn with_section(mut self, lines: impl Into<String>) -> Job {
        self.sections.push(lines.into());
        self
    }
}

/// A temporary folder with a job file and the output. Deleted when dropped.
pub(crate) struct Place {
    folder: PathBuf,
    _guard: Option<TempDir>,
}

/// The name of all jobs of the tests, and so of their folders.
pub(crate) const NAME: &str = "rehearsal";

impl Place {
    pub(crate) fn new() -> Place {
        let guard = temporary_folder();
        Place { folder: guard.path().to_path_buf(), _guard: Some(guard) }
    }

    /// A folder for statics, which are never dropped. Deletes the folders of earlier processes first.
    pub(crate) fn kept(name: &str) -> Place {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it");
        for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                // Another test process may have deleted it already.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let folder = all.join(std::process::id().to_string()).join(name);
        fs::create_dir_all(&folder).unwrap();
        Place { folder, _guard: None }
    }

    /// A folder with a copy of another job folder.
    pub(crate) fn with(job_folder: &Path) -> Place {
        let place = Place::new();
        super::tree::copy(job_folder, &place.job_folder());
        place
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    pub(crate) fn job_folder(&self) -> PathBuf {
        self.output().join(NAME)
    }

    /// Writes the job file for a server. A second one replaces it.
    pub(crate) fn job(&self, job: &Job, base_url: &str) -> PathBuf {
        // Texts and lists of JSON are also valid TOML.
        let list = |texts: &[String]| serde_json::to_string(texts).unwrap();
        let mut text = format!("name = \"{NAME}\"\n");
        if let Some(timezone) = &job.timezone {
            text.push_str(&format!("timezone = \"{timezone}\"\n"));
        }
        if !job.tags.is_empty() {
            text.push_str(&format!("tags = {}\n", list(&job.tags)));
        }
        if !job.segments.is_empty() {
            text.push_str(&format!("segments = {}\n", list(&job.segments)));
        }
        text.push_str(&format!("{}\n[intercom]\nbase_url = \"{base_url}\"\n", job.top.join("\n")));
        text.push_str(&format!("{}\n", job.intercom.join("\n")));
        // A section of the same name is merged into this one, and may set another folder.
        let output = job.sections.iter().find_map(|section| section.strip_prefix("[output]\n")).unwrap_or_default();
        text.push_str(&format!("[output]\n{output}\n"));
        if !output.contains("formats =") {
            text.push_str("formats = [\"parquet\"]\n"); // the other formats cost a third of the time of the reports
        }
        if !output.contains("dir =") {
            text.push_str(&format!("dir = {}\n", serde_json::to_string(&self.output()).unwrap()));
        }
        let others = job.sections.iter().filter(|section| !section.starts_with("[output]"));
        others.for_each(|section| text.push_str(&format!("{section}\n")));
        let path = self.folder.join("job.toml");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn snapshot(&self, month: &str) -> PathBuf {
        self.job_folder().join(format!("snapshots/run_month={month}"))
    }

    pub(crate) fn history(&self, month: &str) -> PathBuf {
        self.job_folder().join(format!("history/run_month={month}"))
    }

    pub(crate) fn reports(&self, month: &str) -> PathBuf {
        self.job_folder().join(format!("reports/run_month={month}"))
    }

    pub(crate) fn report(&self, month: &str, name: &str) -> Table {
        Table::parquet(&self.reports(month).join(format!("{name}.parquet")))
    }

    /// All parts of one of the snapshot's tables.
    pub(crate) fn snapshot_table(&self, month: &str, name: &str) -> Table {
        let mut parts: Vec<PathBuf> = fs::read_dir(self.snapshot(month).join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        parts.sort();
        Table::parquet_parts(&parts)
    }

    pub(crate) fn manifest(&self, month: &str) -> serde_json::Value {
        manifest(&self.snapshot(month))
    }
}

/// The manifest of a published folder.
pub(crate) fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}
