//! Rate limits in fixed windows of ten seconds, aligned to the wall clock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The length of a window in seconds.
pub(crate) const WINDOW: u64 = 10;

/// Whether one request is allowed, and the rate headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The limit of the app. If the limit of the workspace is exceeded, it is the limit of the workspace.
    pub limit: u32,
    pub remaining: u32,
    /// The end of the window in Unix seconds.
    pub reset: u64,
    pub allowed: bool,
}

/// Counts the requests of each app (identified by its token) and of all apps together.
pub(crate) struct Limits {
    app: u32,
    workspace: u32,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    number: u64,
    all: u32,
    apps: HashMap<String, u32>,
}

impl Limits {
    /// `app` and `workspace` are the numbers of requests that are allowed in a window.
    pub(crate) fn new(app: u32, workspace: u32) -> Self {
        Self { app, workspace, window: Mutex::default() }
    }

    /// Counts a request of an app at a wall-clock second. Refused requests do not count.
    pub(crate) fn take(&self, app: &str, second: u64) -> Verdict {
        // The counters are valid even if a thread panicked between two additions.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let number = second / WINDOW;
        if window.number != number {
            *window = Window { number, ..Window::default() };
        }
        let reset = (number + 1) * WINDOW;
        if window.all >= self.workspace {
            return Verdict { limit: self.workspace, remaining: 0, reset, allowed: false };
        }
        let used = window.apps.entry(app.to_owned()).or_default();
        if *used >= self.app {
            return Verdict { limit: self.app, remaining: 0, reset, allowed: false };
        }
        *used += 1;
        let remaining = self.app - *used;
        window.all += 1;
        Verdict { limit: self.app, remaining, reset, allowed: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_allows_its_limit() {
        let limits = Limits::new(2, 100);
        let remaining: Vec<_> = [1001, 1009, 1009].map(|second| limits.take("app", second)).into();
        assert_eq!(remaining[0], Verdict { limit: 2, remaining: 1, reset: 1010, allowed: true });
        assert_eq!(remaining[1], Verdict { limit: 2, remaining: 0, reset: 1010, allowed: true });
        assert_eq!(remaining[2], Verdict { limit: 2, remaining: 0, reset: 1010, allowed: false });
        assert!(limits.take("app", 1010).allowed);
    }

    #[test]
    fn all_apps_share_the_workspace_limit() {
        let limits = Limits::new(2, 3);
        assert!(["a", "a", "b"].into_iter().all(|app| limits.take(app, 5).allowed));
        assert_eq!(limits.take("b", 5), Verdict { limit: 3, remaining: 0, reset: 10, allowed: false });
    }
}
