//! Whether a write failed because the disk is full.

use std::io;

/// Whether the disk, a quota or a limit on the size of a file (`ulimit -f`, `LimitFSIZE`) left no space. The same write works
/// when there is more.
pub fn is_full(error: &io::Error) -> bool {
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
            assert_eq!(is_full(&io::Error::from_raw_os_error(errno.raw_os_error())), expected, "{errno}");
        }
    }
}
