//! Finds out whether an action failed because the disk is full.

use std::error::Error;
use std::io;

/// Whether an error, or any of its causes, says that the disk is full.
pub fn is_full_in(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(is_full))
}

/// Whether there was no space left: on the disk, in a quota or under a limit on the size of a file (`ulimit -f`, `LimitFSIZE`). The
/// same write works later if there is more space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_quota_and_a_size_limit_count_as_full() {
        use rustix::io::Errno;
        for (errno, expected) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::FBIG, true),
            (Errno::PIPE, false),
            (Errno::ACCESS, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_full_in(&io::Error::from_raw_os_error(errno.raw_os_error())), expected, "{errno}");
        }
    }
}
