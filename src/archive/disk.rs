//! Whether a write failed for want of room.

use std::io;

/// The disk, a quota or a limit on the size of a file (`ulimit -f`, `LimitFSIZE`) leaves no room: with more of it the
/// same write works.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_quota_and_a_size_limit_are_no_room() {
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
