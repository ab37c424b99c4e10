//! Decides whether a failed request is sent again, and when. The number of attempts and the time without progress are limited.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::error::Failure;

/// The attempts of one request as long as no request of this client has succeeded. The number is small, so that a wrong URL is reported
/// soon.
const ATTEMPTS_BEFORE_FIRST_SUCCESS: u32 = 5;
/// The attempts of one request after a success. Attempts that end with 429 do not count.
const ATTEMPTS: u32 = 10;
/// The attempts when the API answers with well-formed JSON that cannot be used. They take half a minute to a minute.
const ATTEMPTS_WHEN_UNUSABLE: u32 = 7;
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(60);

/// The retries of one request. Delays double from half a second to a minute, with jitter on top.
#[derive(Debug)]
pub(super) struct Retries {
    delays: ExponentialBackoff,
    failed: u32,
}

/// The state of the client when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryContext {
    /// Whether any request of this client has succeeded.
    pub had_success: bool,
    /// The time since this client last made progress, or since this request began if that is shorter.
    pub stalled_for: Duration,
    pub give_up_after: Duration,
    /// How long the server asks to wait. `None` if it does not say.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Retry(Duration),
    GiveUp,
}

impl Retries {
    pub(super) fn new() -> Retries {
        Retries::from_delays(ExponentialBuilder::new().with_jitter())
    }

    fn from_delays(delays: ExponentialBuilder) -> Retries {
        let delays = delays.with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).with_factor(2.0).without_max_times();
        Retries { delays: delays.build(), failed: 0 }
    }

    pub(super) fn after(&mut self, failure: &Failure, context: RetryContext) -> Verdict {
        if !failure.is_retryable() {
            return Verdict::GiveUp;
        }
        let is_rate_limit = matches!(failure, Failure::Status { status: 429, .. });
        if !is_rate_limit {
            self.failed += 1;
        }
        let attempts = match failure {
            _ if !context.had_success => ATTEMPTS_BEFORE_FIRST_SUCCESS,
            Failure::ErrorList { .. } | Failure::Undocumented { .. } => ATTEMPTS_WHEN_UNUSABLE,
            _ => ATTEMPTS,
        };
        // After a 429, it is enough to wait for the end of the window, if the server says when it ends. Longer delays would only lose time.
        let delay = match context.retry_after {
            Some(asked) if is_rate_limit => asked.min(DELAY_MAX),
            asked => self.delays.next().unwrap_or(DELAY_MAX).max(asked.unwrap_or_default().min(DELAY_MAX)),
        };
        if self.failed >= attempts || context.stalled_for + delay > context.give_up_after {
            return Verdict::GiveUp;
        }
        Verdict::Retry(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NoAnswer;

    const CALM: RetryContext =
        RetryContext { had_success: true, stalled_for: Duration::ZERO, give_up_after: Duration::from_secs(900), retry_after: None };

    fn status(status: u16) -> Failure {
        Failure::Status { status, code: None, request_id: None, canonical: None }
    }

    /// The delays until the request fails, without jitter.
    fn delays(failure: &Failure, context: RetryContext) -> Vec<Duration> {
        let mut retries = Retries::from_delays(ExponentialBuilder::new());
        let mut delays = Vec::new();
        while let Verdict::Retry(delay) = retries.after(failure, context) {
            delays.push(delay);
            if delays.len() == 1_000 {
                break;
            }
        }
        delays
    }

    #[test]
    fn failures_back_off_and_end() {
        let seconds: Vec<f64> = delays(&status(503), CALM).iter().map(Duration::as_secs_f64).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    }

    #[test]
    fn failures_that_a_person_must_fix_are_not_retried() {
        for code in [400, 401, 402, 403, 404, 405, 406, 410, 415, 422] {
            assert_eq!(delays(&status(code), CALM), [], "{code}");
        }
    }

    #[test]
    fn transient_failures_are_retried() {
        for failure in
            [status(408), status(500), status(502), status(504), Failure::Unreadable(String::new()), Failure::NoAnswer(NoAnswer::Cut)]
        {
            assert_eq!(delays(&failure, CALM).len(), 9, "{failure:?}");
        }
    }

    #[test]
    fn unusable_responses_are_given_up_sooner() {
        for failure in [Failure::ErrorList { code: None, request_id: None }, Failure::Undocumented { path: "data[0].id".to_string() }] {
            assert_eq!(delays(&failure, CALM).len(), 6, "{failure:?}");
        }
        assert_eq!(delays(&Failure::Paged { page: 2 }, CALM), []);
    }

    #[test]
    fn a_rate_limit_counts_as_no_attempt_and_waits_as_asked() {
        let asked = RetryContext { retry_after: Some(Duration::from_secs(3)), ..CALM };
        let delays = delays(&status(429), asked);
        assert_eq!(delays.len(), 1_000);
        assert!(delays.iter().all(|delay| *delay == Duration::from_secs(3)));
    }

    #[test]
    fn time_without_progress_ends_the_retries() {
        let stalled = RetryContext { stalled_for: Duration::from_secs(899), retry_after: Some(Duration::from_secs(3)), ..CALM };
        assert_eq!(delays(&status(429), stalled), []);
    }

    #[test]
    fn a_client_without_any_success_gives_up_sooner() {
        assert_eq!(delays(&Failure::NoAnswer(NoAnswer::Connect), RetryContext { had_success: false, ..CALM }).len(), 4);
    }
}
