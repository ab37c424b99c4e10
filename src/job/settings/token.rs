//! The access token: from a file of its own or from an environment variable of its own. It is never one of the settings.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

pub const TOKEN_VARIABLE: &str = "INTERCOM_ACCESS_TOKEN";

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there is no access token: the environment variable {TOKEN_VARIABLE} is not set")]
    Missing,
    #[error("the token file {path} cannot be read", path = shown_path(.path))]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the access token in {origin} is not usable: {problem}")]
    Unusable { origin: String, problem: &'static str },
}

/// The origin of the token, for messages.
pub fn token_origin(token_file: Option<&Path>) -> String {
    match token_file {
        Some(path) => format!("the file `{}`", path.display()),
        None => format!("the environment variable {TOKEN_VARIABLE}"),
    }
}

/// The permissions of a token file that other users may read or change; `None` if only its owner may.
pub fn open_to_others(token_file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(token_file).ok()?.permissions()) & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = token_file;
        None
    }
}

/// A path for messages. A text that is not a file and has no folder may be the token itself, which somebody gave instead of the
/// path.
pub(super) fn shown_path(path: &Path) -> String {
    if path.components().count() > 1 || path.exists() {
        format!("`{}`", path.display())
    } else {
        format!("of a name of {} characters (not shown: it may be the token itself)", path.as_os_str().len())
    }
}

pub fn read_token(token_file: Option<&Path>) -> Result<SecretString, TokenError> {
    let (text, origin) = match token_file {
        Some(path) => return read_secret(path),
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(text) => (text, TOKEN_VARIABLE.to_string()),
            Err(std::env::VarError::NotPresent) => return Err(TokenError::Missing),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(TokenError::Unusable { origin: TOKEN_VARIABLE.to_string(), problem: "it is not text" });
            }
        },
    };
    usable(&text, origin)
}

/// The token in a file that contains nothing else.
///
/// # Errors
/// When the file cannot be read, or has no token.
pub fn read_secret(path: &Path) -> Result<SecretString, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable { path: path.to_path_buf(), source })?;
    usable(&text, shown_path(path))
}

fn usable(text: &str, origin: String) -> Result<SecretString, TokenError> {
    let token = text.trim();
    let problem = if token.is_empty() {
        "it is empty"
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it has a space, a line break or another character that no token has"
    } else {
        return Ok(SecretString::from(token));
    };
    Err(TokenError::Unusable { origin, problem })
}
