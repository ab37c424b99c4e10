//! Checks of settings and token, before the first request.

use super::{Finding, Trouble};

use crate::settings::{SecretString, Settings, Survey, open_to_others, read_token, token_origin};

/// Reports every key with its value and its origin, and every error in the settings.
pub(super) fn findings(survey: Survey) -> (Vec<Finding>, Settings) {
    let mut findings = Vec::new();
    // A file that was not read might have overridden any value.
    for value in survey.values.into_iter().filter(|_| survey.unread.is_empty()) {
        findings.push(Finding::fine(value.key, format!("{} (from {})", value.value, value.origin)));
    }
    for error in survey.unread {
        findings.push(Finding::error("settings", error));
    }
    for finding in survey.findings {
        findings.push(Finding::error(finding.key.clone(), Trouble::Setting(finding)));
    }
    for notice in &survey.settings.notices {
        findings.push(Finding::warning("settings", notice, None));
    }
    (findings, survey.settings)
}

/// Reports how identifiers are written, and problems of the key for their hashes.
pub(super) fn privacy(settings: &Settings, findings: &mut Vec<Finding>) {
    let file = settings.privacy.hash_key_file.as_deref();
    match crate::privacy(settings) {
        Err(error) => findings.push(Finding::error("privacy", error)),
        Ok(privacy) => {
            findings.push(Finding::fine("privacy", format!("identifiers are written as `{}`", privacy.label())));
            if let Some(mode) = file.and_then(open_to_others) {
                let what = format!("other users can read the key of the hashes (mode {mode:04o})");
                findings.push(Finding::warning("privacy", what, Some("chmod 600 it: the key allows to look up any person")));
            }
        }
    }
}

pub(super) fn token(settings: &Settings, is_certain: bool, findings: &mut Vec<Finding>) -> Option<SecretString> {
    let file = settings.intercom.token_file.as_deref();
    if !is_certain {
        findings.push(Finding::noted("token", "not checked: its settings have errors"));
        return None;
    }
    let token = match read_token(file) {
        Ok(token) => token,
        Err(error) => {
            findings.push(Finding::error("token", error));
            return None;
        }
    };
    let origin = token_origin(file);
    findings.push(match file.and_then(open_to_others) {
        None => Finding::fine("token", format!("found in {origin}")),
        Some(mode) => {
            let what = format!("found in {origin}, which other users can read (mode {mode:04o})");
            Finding::warning("token", what, Some("chmod 600 it; others may know the token already: if so, make a new one"))
        }
    });
    Some(token)
}
