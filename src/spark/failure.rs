//! What a failed request to a server means.

use archive::engine::EngineError;
use spark_connect::{SparkError, SparkErrorKind};

/// The maximum number of characters of a server's message. A message may contain a whole plan.
const LONGEST: usize = 400;

/// The gRPC codes for a server that was not reached, did not answer in time, or ended the request.
const UNREACHABLE: [i32; 4] = [CANCELLED, DEADLINE_EXCEEDED, ABORTED, UNAVAILABLE];
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const ABORTED: i32 = 10;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// The words with which the client's channel, not the server, reports a connection that broke off.
const BROKEN_OFF: [&str; 4] = ["transport error", "h2 protocol error", "connection", "broken pipe"];

/// The words of rustls for a certificate that it refuses.
const UNTRUSTED: &str = "invalid peer certificate";

/// The words with which servers say that they do not know the session or the query any more.
const LOST: [&str; 5] = ["SESSION_NOT_FOUND", "SESSION_CLOSED", "SESSION_CHANGED", "OPERATION_NOT_FOUND", "OPERATION_ABANDONED"];

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server could not be reached, or was restarted. In a new session, the request may succeed.
    Gone(String),
    /// The server does not accept the credentials, or they lack a permission.
    Denied(String),
    /// This process does not accept the certificate of the server.
    Untrusted(String),
    /// The server refuses the query. `is_final`: the server did not begin to run it, and would refuse it again.
    Refused { problem: String, is_final: bool },
}

impl Failure {
    pub(crate) fn of(error: &SparkError) -> Failure {
        let problem = shortened(&error.message());
        let has_lost = |text: &str| LOST.iter().any(|word| text.contains(word));
        if problem.contains(UNTRUSTED) {
            return Failure::Untrusted(problem);
        }
        match error.grpc_code {
            Some(code) if UNREACHABLE.contains(&code) => Failure::Gone(format!("cannot be reached: {problem}")),
            // An error of the server itself has a class. Without a class, the error comes from the channel.
            Some(UNKNOWN | INTERNAL) if error.error_class.is_empty() && BROKEN_OFF.iter().any(|words| error.message().contains(words)) => {
                Failure::Gone(format!("cannot be reached: {problem}"))
            }
            Some(UNAUTHENTICATED | PERMISSION_DENIED) => Failure::Denied(problem),
            _ if has_lost(&error.error_class) || has_lost(&error.message()) => Failure::Gone(format!("was restarted: {problem}")),
            _ => {
                let is_final = matches!(error.kind, SparkErrorKind::Analysis | SparkErrorKind::Parse);
                Failure::Refused { problem, is_final }
            }
        }
    }

    pub(crate) fn of_query(self, at: &str, query: &str) -> EngineError {
        let at = at.to_string();
        match self {
            Failure::Gone(problem) => EngineError::Unreachable { at, problem },
            Failure::Denied(problem) => EngineError::Denied { at, problem },
            Failure::Untrusted(problem) => EngineError::Untrusted { at, problem },
            Failure::Refused { problem, .. } => EngineError::Refused { query: query.to_string(), problem },
        }
    }
}

/// The beginning of a message, in one line.
fn shortened(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_off_is_not_an_error_of_the_query() {
        let of = |code: i32, class: &str, message: &str| {
            let error = SparkError { grpc_code: Some(code), error_class: class.to_string(), ..SparkError::connect_msg(message) };
            Failure::of(&error)
        };
        for (code, message) in [(14, "tcp connect error"), (2, "transport error"), (13, "h2 protocol error: reset"), (1, "cancelled")] {
            assert!(matches!(of(code, "", message), Failure::Gone(_)), "{message}");
        }
        assert!(matches!(of(13, "INVALID_HANDLE.SESSION_NOT_FOUND", "x"), Failure::Gone(_)));
        assert!(matches!(of(14, "", "invalid peer certificate: UnknownIssuer"), Failure::Untrusted(_)));
        assert!(matches!(of(16, "", "no token"), Failure::Denied(_)));
        assert!(matches!(of(13, "org.apache.spark.SparkException", "a connection is no column"), Failure::Refused { is_final: false, .. }));
    }

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(shortened("[X]  cannot\n\tresolve `a`"), "[X] cannot resolve `a`");
        let long = shortened(&"ü ".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST + 1, true));
    }
}
