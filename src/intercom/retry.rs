//! Which failure is worth another try, and when: a budget in tries and a budget in time.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::error::Failure;

/// Tries of one request before anything at all has been answered: a wrong address should not take minutes to tell.
const TRIES_BEFORE_FIRST_ANSWER: u32 = 5;
/// Tries of one request later on. A 429 is no failure and takes none of them.
const TRIES: u32 = 10;
/// Tries where the API answers at once and well-formed, with what cannot be used: half a minute to a minute.
const TRIES_WHEN_ANSWERED: u32 = 7;
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(60);

/// The tries of one request. Delays double from half a second to a minute, with jitter on top.
#[derive(Debug)]
pub(super) struct Tries {
    delays: ExponentialBackoff,
    failed: u32,
}

/// What is known when a try has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Whether this client has ever had a good answer.
    pub had_answer: bool,
    /// Time since this client last made progress, or since this request began when that was later.
    pub stalled_for: Duration,
    pub give_up_after: Duration,
    /// How long the server asks to wait.
    pub asked_to_wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Again(Duration),
    GiveUp,
}

impl Tries {
    pub(super) fn new() -> Tries {
        Tries::from_delays(ExponentialBuilder::new().with_jitter())
    }

    fn from_delays(delays: ExponentialBuilder) -> Tries {
        let delays = delays.with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).with_factor(2.0).without_max_times();
        Tries { delays: delays.build(), failed: 0 }
    }

    pub(super) fn after(&mut self, failure: &Failure, circumstances: Circumstances) -> Verdict {
        if !failure.is_worth_another_try() {
            return Verdict::GiveUp;
        }
        let is_rate_limit = matches!(failure, Failure::Status { status: 429, .. });
        if !is_rate_limit {
            self.failed += 1;
        }
        let tries = match failure {
            _ if !circumstances.had_answer => TRIES_BEFORE_FIRST_ANSWER,
            Failure::ErrorList { .. } | Failure::Undocumented { .. } => TRIES_WHEN_ANSWERED,
            _ => TRIES,
        };
        // With a window's end known, waiting for it is enough: backing off further would only lose time.
        let delay = match circumstances.asked_to_wait {
            Some(asked) if is_rate_limit => asked.min(DELAY_MAX),
            asked => self.delays.next().unwrap_or(DELAY_MAX).max(asked.unwrap_or_default().min(DELAY_MAX)),
        };
        if self.failed >= tries || circumstances.stalled_for + delay > circumstances.give_up_after {
            return Verdict::GiveUp;
        }
        Verdict::Again(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NoAnswer;

    const CALM: Circumstances =
        Circumstances { had_answer: true, stalled_for: Duration::ZERO, give_up_after: Duration::from_secs(900), asked_to_wait: None };

    fn status(status: u16) -> Failure {
        Failure::Status { status, code: None, request_id: None }
    }

    /// The delays until the request is given up, without jitter.
    fn delays(failure: &Failure, circumstances: Circumstances) -> Vec<Duration> {
        let mut tries = Tries::from_delays(ExponentialBuilder::new());
        let mut delays = Vec::new();
        while let Verdict::Again(delay) = tries.after(failure, circumstances) {
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
    fn what_a_person_must_mend_is_not_tried_again() {
        for code in [400, 401, 402, 403, 404, 405, 406, 410, 415, 422] {
            assert_eq!(delays(&status(code), CALM), [], "{code}");
        }
    }

    #[test]
    fn passing_failures_are_tried_again() {
        for failure in
            [status(408), status(500), status(502), status(504), Failure::Unreadable(String::new()), Failure::NoAnswer(NoAnswer::Cut)]
        {
            assert_eq!(delays(&failure, CALM).len(), 9, "{failure:?}");
        }
    }

    #[test]
    fn what_is_answered_and_cannot_be_used_is_given_up_sooner() {
        for failure in [Failure::ErrorList { code: None, request_id: None }, Failure::Undocumented { path: "data[0].id".to_string() }] {
            assert_eq!(delays(&failure, CALM).len(), 6, "{failure:?}");
        }
        assert_eq!(delays(&Failure::InPages { page: 2 }, CALM), []);
    }

    #[test]
    fn a_rate_limit_takes_no_tries_and_waits_as_asked() {
        let asked = Circumstances { asked_to_wait: Some(Duration::from_secs(3)), ..CALM };
        let delays = delays(&status(429), asked);
        assert_eq!(delays.len(), 1_000);
        assert!(delays.iter().all(|delay| *delay == Duration::from_secs(3)));
    }

    #[test]
    fn time_without_progress_ends_it_too() {
        let stalled = Circumstances { stalled_for: Duration::from_secs(899), asked_to_wait: Some(Duration::from_secs(3)), ..CALM };
        assert_eq!(delays(&status(429), stalled), []);
    }

    #[test]
    fn the_first_contact_fails_sooner() {
        assert_eq!(delays(&Failure::NoAnswer(NoAnswer::Connect), Circumstances { had_answer: false, ..CALM }).len(), 4);
    }
}
