//! One month of 100,000 contacts in 12 groups against the embedded Intercom, over loopback HTTP.
//!
//!     cargo bench                              # or with other sizes:
//!     cargo bench -- --contacts 10000 --groups 6
//!
//! The server runs as a process of its own, so that the peak memory is the job's alone. Prints, for the run as a whole
//! and for the parts that its log tells apart: seconds, contacts and memberships a second, requests, peak memory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const NOW: &str = "2026-11-01T02:00:00Z";
const SEGMENTS: [&str; 5] = ["Active", "New", "Slipping Away", "Trial users", "Leads to call"];
const TAGS: [&str; 7] = ["value_lead", "VIP", "churn risk", "beta tester", "newsletter, \"weekly\"", "webinar-2026", "press"];

/// Ends the server when the bench ends, however it ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| -> usize {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (contacts, groups) = (number("--contacts", 100_000), number("--groups", 12));

    let mut simulate = Command::new(env!("CARGO_BIN_EXE_cohorts"));
    simulate.args(["simulate", "--port", "0", "--now", NOW, "--rate-limit", "1000000", "--workspace-rate-limit", "1000000"]);
    let mut server = Server(simulate.args(["--contacts", &contacts.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().ok_or("the server has no standard output")?).read_line(&mut address)?;

    let folder = std::env::temp_dir().join(format!("cohorts-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let list = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let (segments, tags) = (&SEGMENTS[..groups.min(5)], &TAGS[..groups.saturating_sub(5).min(7)]);
    let job = format!(
        "name = \"bench\"\ntimezone = \"Europe/Dublin\"\nsegments = [{}]\ntags = [{}]\n[output]\ndir = {:?}\n",
        list(segments),
        list(tags),
        folder.join("output")
    );
    let file = folder.join("job.toml");
    std::io::Write::write_all(&mut std::fs::File::create(&file)?, job.as_bytes())?;

    let begun = Instant::now();
    let mut run = Command::new(env!("CARGO_BIN_EXE_cohorts"));
    run.args(["run", "--as-of", NOW, "--job"]).arg(&file);
    run.env("COHORTS__INTERCOM__BASE_URL", address.trim()).env("INTERCOM_ACCESS_TOKEN", "bench");
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let process = child.id();
    let watcher = std::thread::spawn(move || peak_memory(process));
    // The job's own log says when each part began.
    let mut steps: Vec<(Duration, String)> = Vec::new();
    for line in BufReader::new(child.stderr.take().ok_or("the job has no standard error")?).lines() {
        let line = line?;
        if let Some(step) =
            ["fetching", "publishing the snapshot", "building history", "building reports"].into_iter().find(|step| line.contains(step))
        {
            steps.push((begun.elapsed(), step.to_string()));
        }
    }
    let status = child.wait()?;
    let total = begun.elapsed();
    let peak = watcher.join().map_err(|_| "the watcher broke off")?;
    if !status.success() {
        return Err(format!("the run ended with {status}").into());
    }

    let manifest = std::fs::read(folder.join("output/bench/snapshots/run_month=2026-10/manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    let members: u64 = manifest["cohorts"].as_array().into_iter().flatten().filter_map(|cohort| cohort["members"].as_u64()).sum();
    std::fs::remove_dir_all(&folder)?;

    let mut out = std::io::stdout().lock();
    use std::io::Write;
    writeln!(
        out,
        "{contacts} contacts, {} groups with {members} memberships, {} requests",
        segments.len() + tags.len(),
        manifest["requests"]
    )?;
    steps.push((total, "end".to_string()));
    for pair in steps.windows(2) {
        writeln!(out, "  {:<24} {:>7.2} s", pair[0].1, (pair[1].0 - pair[0].0).as_secs_f64())?;
    }
    let fetched = steps[1].0 - steps[0].0;
    let rows = contacts as u64 + members;
    writeln!(out, "  {:<24} {:>7.2} s", "in all", total.as_secs_f64())?;
    writeln!(
        out,
        "{:.0} contacts a second while fetching ({rows} rows), {:.0} in all",
        rows as f64 / fetched.as_secs_f64(),
        rows as f64 / total.as_secs_f64()
    )?;
    writeln!(out, "peak memory {} MiB", peak / 1024)?;
    Ok(())
}

/// The most memory that the process has held so far, in KiB, until it ends. Linux keeps the mark itself.
fn peak_memory(process: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
        match mark {
            Some(mark) => peak = mark,
            // A process that has ended but was not waited for has no memory left.
            None => break,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    peak
}
