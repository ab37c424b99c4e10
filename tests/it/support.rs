//! What the tests share: the program and the simulator as child processes, scripted servers, job files, folders as bytes, tables as rows, and
//! the oracle.

pub(crate) mod fixture;
pub(crate) mod http;
pub(crate) mod job;
pub(crate) mod oracle;
pub(crate) mod program;
pub(crate) mod scripted;
pub(crate) mod simulator;
pub(crate) mod tables;
pub(crate) mod tree;
pub(crate) mod truth;
pub(crate) mod workspace;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::{Builder, TempDir};

/// The token of all runs. It must not occur in anything that the program prints or writes.
pub(crate) const TOKEN: &str = "tok3n-of-the-tests-dG9rM24";

/// The memory file system of Linux, if it exists and has room. The program syncs all that it publishes, so on a disk the tests would mostly wait.
static MEMORY: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    let usable = free >= MEMORY_NEEDED && tempfile::tempfile_in(memory).is_ok();
    usable.then(|| memory.to_path_buf())
});

/// Several times what the folders of all tests have at once.
const MEMORY_NEEDED: u64 = 2 << 30;

/// An empty folder. Deleted when dropped; tests that are killed leave theirs, with this name.
pub(crate) fn temporary_folder() -> TempDir {
    let folder = Builder::new().prefix("cohorts-it-").to_owned();
    MEMORY.as_ref().map_or_else(|| folder.tempdir(), |memory| folder.tempdir_in(memory)).unwrap()
}

/// Waits until a condition is true. Polls it with a time limit.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited half a minute in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the cases concurrently, a few at a time, and fails with the messages of all failed cases. For cases that spend most of their time
/// waiting: one after the other they would take minutes.
pub(crate) fn side_by_side<T: Sync>(cases: &[T], name: impl Fn(&T) -> String + Sync, check: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
                    if let Err(panic) = outcome {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
                        failures.lock().unwrap().push(format!("{}: {}", name(case), text.unwrap_or_default()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n---\n"));
}
