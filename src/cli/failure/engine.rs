//! What to do about a failure of an engine outside of this process.

use super::{UNAUTHORIZED, UNAVAILABLE, UNEXPECTED, USAGE};
use archive::engine::EngineError;

pub(super) const ENGINE_PATH: &str = "the engine must read and write `output.dir`: see `engine.path` and its credentials in docs/scale.md; `engine.kind = \"polars\"` counts in this process";

/// The exit code and the hint for a failure of an engine. `None` if the engine did not cause the failure.
pub(super) fn engine_code_and_hint(error: &EngineError) -> Option<(u8, &'static str)> {
    match error {
        EngineError::Unreachable { .. } => Some((UNAVAILABLE, "check `engine.url`, start the engine, and run it again")),
        EngineError::Denied { .. } => Some((UNAUTHORIZED, "check the token in `engine.url` or `engine.token_file`")),
        EngineError::NotSpark { .. } => Some((USAGE, "check host, port and parameters of `engine.url`")),
        EngineError::Untrusted { .. } => Some((
            USAGE,
            "name a file with the authority that signed it in the environment variable SSL_CERT_FILE, or correct `engine.url`",
        )),
        EngineError::Refused { .. } | EngineError::Unsound { .. } => Some((UNEXPECTED, ENGINE_PATH)),
        EngineError::NotRun { .. } => {
            Some((USAGE, "run the script to its end; or delete that folder, and the month is counted as `engine.kind` says"))
        }
        EngineError::Publish(_) | EngineError::Table(_) => None,
    }
}
