//! Which process this is, and whether another process of this machine has ended.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process, as other processes can recognise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub id: u32,
    /// When the process was started, in the units of the system; empty if unknown. The system may give the ID of an ended process to a new
    /// process, but the new process has another start time.
    pub started: String,
    /// Identifies the last start of the machine, and the process namespace. IDs of processes can be compared only if both are the same.
    /// Empty if unknown.
    pub system: String,
}

impl Process {
    pub(super) fn this() -> Process {
        let id = std::process::id();
        Process { id, started: started(id).unwrap_or_default(), system: system().unwrap_or_default() }
    }

    /// Whether it is certain that this process has ended.
    pub(super) fn has_ended(&self) -> bool {
        let is_of_here = system().is_some_and(|system| system == self.system);
        is_of_here && !self.started.is_empty() && started(self.id).is_none_or(|started| started != self.started)
    }
}

/// The start of a process, in clock ticks since the start of the machine; `None` if there is no such process or it has ended (proc(5),
/// field 22 of `stat`).
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in brackets, which may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let state = fields.split_whitespace().next()?;
    let started = fields.split_whitespace().nth(19)?;
    // A zombie process (`Z`) has ended, but its parent has not waited for it yet. It counts as ended.
    (state != "Z").then(|| started.to_string())
}

fn system() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// The name of this machine, for messages.
pub(super) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_to_have_ended_only_on_its_own_machine() {
        let this = Process::this();
        assert!(!this.has_ended());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Process { id: child.id(), started: started(child.id()).unwrap(), system: this.system.clone() };
        assert!(!other.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(other.has_ended());
        assert!(Process { started: "1".to_string(), ..this.clone() }.has_ended(), "another process has its ID now");
        assert!(!Process { system: "elsewhere".to_string(), ..other }.has_ended());
    }
}
