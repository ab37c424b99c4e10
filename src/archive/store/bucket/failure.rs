//! What a failed request to a bucket means. The messages contain no URL, because a URL may contain a signature.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::store::BucketError;

/// The client's message begins with these words if a store answered with an error. The status and the body follow.
const STATUS: &str = "Server returned non-2xx status code: ";
/// The hosts that give a machine in a cloud its own credentials.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// The error with a message for people, without secrets.
pub(super) fn io_error(error: object_store::Error) -> io::Error {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    let answer = answer(&error).map_or(String::new(), |answer| format!(" ({answer})"));
    match &error {
        NotFound { .. } => refused(format!("the bucket or the object does not exist{answer}")),
        PermissionDenied { .. } => refused(format!("the store denies it: the credentials lack a permission{answer}")),
        Unauthenticated { .. } => refused(format!("the store does not accept the credentials{answer}")),
        _ => other(&error),
    }
}

fn other(error: &object_store::Error) -> io::Error {
    if METADATA.iter().any(|host| error.to_string().contains(host)) {
        return refused("no credentials were found in the environment, and this machine gives none".to_string());
    }
    if let Some(answer) = answer(error) {
        return of_answer(&answer);
    }
    if let Some(http) = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()) {
        return unreachable(
            match http.kind() {
                HttpErrorKind::Connect => "there is no connection to the store",
                HttpErrorKind::Timeout => "the store did not answer in time",
                _ => "the connection to the store broke off",
            }
            .to_string(),
        );
    }
    // All other errors: a wrong or missing setting, or an answer of the store that cannot be parsed.
    let innermost = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    let text = without_addresses(&innermost);
    refused(match text.as_str() {
        "" => "the request failed".to_string(),
        // The client's message would show a character of the key.
        text if text.starts_with("Invalid symbol") || text.starts_with("Invalid byte") => {
            "a key in the environment is no valid base64".to_string()
        }
        text => format!("the environment does not say enough, or something wrong: {text}"),
    })
}

/// The error for an answer of the store.
pub(super) fn answered(status: u16, body: &str) -> io::Error {
    of_answer(&with_code(&status.to_string(), body))
}

fn of_answer(answer: &str) -> io::Error {
    let status: u16 = answer.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0);
    let is_passing = status == 429 || status == 408 || status >= 500;
    let text = format!("the store answered {answer}");
    if is_passing { unreachable(text) } else { refused(text) }
}

fn refused(text: String) -> io::Error {
    io::Error::other(BucketError::Refused(text))
}

fn unreachable(text: String) -> io::Error {
    io::Error::other(BucketError::Unreachable(text))
}

/// The status of the store's answer and the code in its body: `503 Service Unavailable, SlowDown`.
fn answer(error: &object_store::Error) -> Option<String> {
    let text = causes(error).map(ToString::to_string).find(|text| text.starts_with(STATUS))?;
    let (status, body) = text[STATUS.len()..].split_once(": ").unwrap_or((&text[STATUS.len()..], ""));
    Some(with_code(status.trim(), body))
}

/// A status, with the code in the body of the answer, if there is one.
fn with_code(status: &str, body: &str) -> String {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() < 64 && code.chars().all(|letter| letter.is_ascii_alphanumeric()));
    code.map_or(status.to_string(), |code| format!("{status}, {code}"))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

/// A text up to the first URL in it.
fn without_addresses(text: &str) -> String {
    let end = text.find("://").map_or(text.len(), |at| text[..at].rfind(' ').unwrap_or(0));
    text[..end].trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_no_address() {
        assert_eq!(without_addresses("cannot parse https://host/x?sig=abc"), "cannot parse");
        assert_eq!(without_addresses("Configuration key missing"), "Configuration key missing");
        let source = "Error performing GET https://account.blob.core.windows.net/c?sig=s3cret in 1s".into();
        let error = io_error(object_store::Error::Generic { store: "Azure", source });
        assert!(!format!("{error}").contains("s3cret"), "{error}");
    }
}
