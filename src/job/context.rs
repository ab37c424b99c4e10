//! What every command gets from its caller, and the archive, client, privacy and time zone that are made from the settings.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{JobError, Observer};
use crate::privacy::{HashKey, Identifiers, Privacy, PrivacyError};
use crate::settings::{self, Job, Output, SecretString, Settings};
use archive::Archive;
use archive::store::Location;
use domain::TimeZone;
use intercom::{Client, ClientError, Options, Workspace};

/// The current time: the wall clock, or the fixed instant of `--as-of`.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
/// Everything that a run needs from its caller.
#[derive(Clone)]
pub struct Context {
    pub settings: Settings,
    pub archive: Archive,
    pub client: Client,
    pub privacy: Arc<Privacy>,
    pub clock: Clock,
    /// Whether the clock is compared with the API's. A fixed clock is not.
    pub checks_clock: bool,
    pub observer: Observer,
}

/// The archive of the job in these settings. Makes no request.
///
/// # Errors
/// If the archive is in a bucket, and the environment lacks the bucket's settings or names no folder for unfinished work.
pub fn archive(settings: &Settings) -> Result<Archive, JobError> {
    let Output { dir, work_dir, cache_max_bytes, .. } = &settings.output;
    let name = &settings.job.name;
    let work = work_dir.as_ref().map(|folder| folder.join(name));
    match dir.join(name) {
        Location::Folder(root) => Ok(Archive::in_folder(root, work)),
        Location::Bucket(uri) => {
            let work = work.or_else(|| state_folder(&uri.to_string())).ok_or(JobError::NoWorkFolder)?;
            Ok(Archive::in_bucket(&uri, work, *cache_max_bytes, settings.intercom.give_up_after)?)
        }
    }
}

/// Where a job keeps its unfinished work if its archive is in a bucket: below the user's state folder (XDG Base Directory Specification).
/// `None` if the environment names no state folder.
fn state_folder(uri: &str) -> Option<PathBuf> {
    let of_user = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(of_user).filter(|folder| folder.is_absolute())?;
    Some(state.join("cohorts").join(uri.replace("://", "/")))
}

/// A client for the settings' workspace.
pub fn client(settings: &Settings, token: SecretString) -> Result<Client, ClientError> {
    let intercom = &settings.intercom;
    Client::new(&Options {
        base_url: intercom.base_url.clone(),
        token,
        api_version: intercom.api_version.clone(),
        user_agent: concat!("intercom-cohorts/", env!("CARGO_PKG_VERSION")).to_string(),
        page_size: intercom.page_size,
        max_concurrency: intercom.max_concurrency,
        rate_share: intercom.rate_share,
        request_timeout: intercom.request_timeout,
        give_up_after: intercom.give_up_after,
    })
}

/// How identifiers are written, from the settings.
pub fn privacy(settings: &Settings) -> Result<Privacy, PrivacyError> {
    let privacy = &settings.privacy;
    let identifiers = match (privacy.identifiers, &privacy.hash_key_file) {
        (settings::Identifiers::Keep, _) => Identifiers::Keep,
        (settings::Identifiers::Hash, Some(path)) => Identifiers::Hash(HashKey::read(path)?),
        // Settings that ask for hashes without a key are refused before this point.
        (settings::Identifiers::Drop, _) | (settings::Identifiers::Hash, None) => Identifiers::Drop,
    };
    Ok(Privacy::new(identifiers, privacy.drop.iter().cloned()))
}

/// The time zone of the months: the job's, otherwise the workspace's.
pub fn timezone(job: &Job, workspace: &Workspace) -> Result<TimeZone, JobError> {
    match (&job.timezone, &workspace.timezone) {
        (Some(timezone), _) => Ok(timezone.clone()),
        (None, Some(name)) => settings::zones().zone(name).ok_or_else(|| JobError::NoTimezone { found: Some(name.clone()) }),
        (None, None) => Err(JobError::NoTimezone { found: None }),
    }
}
