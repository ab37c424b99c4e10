//! The signals that end a command, and a signal that must not end it.

/// Prevents that a write past the file size limit (`ulimit -f`, `LimitFSIZE`) ends the process. The write then fails like a write
/// to a full disk. Must be called within a runtime.
pub(super) fn survive_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handler stays as long as the process lives. Without a handler, the signal ends the process.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())));
    }
}

/// Waits for Ctrl-C, Ctrl-\, a terminal that goes away, or the signal with which a service manager ends a job. The signals are caught as
/// soon as this function is called, not only when the future is first polled, because other work may begin between the call and the poll.
#[cfg(unix)]
pub(super) fn interrupted() -> impl Future<Output = ()> {
    use futures_util::future::select_all;
    use tokio::signal::unix::{SignalKind, signal};

    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
    // `nohup` starts a program with SIGHUP ignored, and a handler would undo that. If it is unknown whether SIGHUP is ignored, no handler
    // is installed.
    if is_hangup_ignored() == Some(false) {
        kinds.push(SignalKind::hangup());
    }
    // A signal whose handler cannot be installed ends the process at once.
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    async move {
        if signals.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
    }
}

#[cfg(not(unix))]
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether this process ignores SIGHUP; `None` if unknown. Only on Linux can this be read without unsafe code.
#[cfg(unix)]
fn is_hangup_ignored() -> Option<bool> {
    ignores(&std::fs::read_to_string("/proc/self/status").ok()?, rustix::process::Signal::HUP.as_raw())
}

/// Whether a process with this `/proc/<pid>/status` ignores a signal.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_in_the_mask() {
        let status = "Name:\tcohorts\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001004\nSigCgt:\t0000000000000001\n";
        assert_eq!([1, 3, 13, 64].map(|signal| ignores(status, signal)), [Some(false), Some(true), Some(true), Some(false)]);
        assert_eq!(ignores("Name:\tcohorts\n", 1), None);
        assert_eq!(ignores("SigIgn:\tno mask\n", 1), None);
    }
}
