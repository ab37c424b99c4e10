//! Where and when something was measured. Linux tells it under `/proc`; what it does not tell is `unknown`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// The most memory that a process has held so far, in KiB. Linux keeps the mark itself.
pub(crate) fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// The CPU time of a process so far, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Option<f64> {
    // `stat` counts in hundredths of a second. The name of the program, in brackets, may have blanks in it.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

/// A Markdown list: machine, date, command, commit.
pub(crate) fn describe(command: &str) -> String {
    let cores = std::thread::available_parallelism().map_or("unknown".to_string(), |cores| cores.to_string());
    let model = line_of("/proc/cpuinfo", "model name").unwrap_or("unknown".to_string());
    let memory = line_of("/proc/meminfo", "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let memory = memory.map_or("unknown".to_string(), |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map_or("unknown".to_string(), |text| text.trim().to_string());
    let profile = if cfg!(debug_assertions) { "an unoptimised build: these figures say nothing" } else { "the optimised build" };
    format!(
        "- machine: {model}, {cores} cores, {memory} of memory, Linux {kernel}\n- date: {}\n- command: `{command}`, {profile}\n- commit: {}\n",
        humantime::format_rfc3339_seconds(SystemTime::now()),
        commit().unwrap_or("unknown".to_string())
    )
}

fn line_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim().to_string()))
}

/// With a word about changes beside it: such figures are of no commit.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", "src", "benches", "Cargo.toml", "Cargo.lock"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}, with changes that are in no commit") })
}
