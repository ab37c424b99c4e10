//! What counts the months of a job: this process, or an engine outside of it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::JobError;
use crate::settings::{EngineKind, Settings};
use archive::engine::RemoteEngine;
use archive::store::Location;

/// The engines that are in use.
static IN_USE: Mutex<Vec<Weak<dyn RemoteEngine>>> = Mutex::new(Vec::new());

/// The engine outside of this process that counts the job's months; `None` if this process does. Makes no request.
///
/// # Errors
/// If the settings of the engine cannot be used.
pub fn remote_engine(settings: &Settings) -> Result<Option<Arc<dyn RemoteEngine>>, JobError> {
    let engine = match settings.engine.kind {
        EngineKind::Polars => return Ok(None),
        EngineKind::Spark => spark(settings)?,
    };
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    in_use.retain(|engine| engine.strong_count() > 0);
    in_use.push(Arc::downgrade(&engine));
    Ok(Some(engine))
}

/// Stops what runs on engines outside of this process, because the command is ending.
pub fn interrupt_engines() {
    let in_use: Vec<_> = IN_USE.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    in_use.iter().for_each(|engine| engine.interrupt());
}

/// The job's folder or bucket as an engine outside of this process spells its path.
///
/// # Errors
/// If the output folder is a relative path and this process has no current folder, or if the path has a character that engines misread.
pub(super) fn place(settings: &Settings) -> Result<String, JobError> {
    let place = match (&settings.engine.path, &settings.output.dir) {
        (Some(path), _) => path.trim_end_matches('/').to_string(),
        (None, Location::Folder(folder)) => {
            let absolute = std::path::absolute(folder).map_err(|error| JobError::Engine { problem: error.to_string() })?;
            absolute.display().to_string()
        }
        (None, bucket @ Location::Bucket(_)) => bucket.to_string(),
    };
    let place = format!("{place}/{}", settings.job.name);
    match place.chars().find(|c| "{}[]*?\\$".contains(*c) || c.is_control()) {
        Some(odd) => {
            let problem = format!("engines read the character `{}` in the path of the output as something else", odd.escape_default());
            Err(JobError::Engine { problem })
        }
        None => Ok(place),
    }
}

#[cfg(feature = "spark")]
fn spark(settings: &Settings) -> Result<Arc<dyn RemoteEngine>, JobError> {
    use crate::settings::read_secret;
    use secrecy::ExposeSecret;

    let engine = &settings.engine;
    let token = engine.token_file.as_deref().map(read_secret).transpose()?;
    let url = engine.url.as_ref().map(|url| url.expose_secret()).unwrap_or_default();
    let token = token.as_ref().map(|token| token.expose_secret());
    let opened = spark::Spark::new(url, token, &place(settings)?, settings.intercom.give_up_after);
    Ok(Arc::new(opened.map_err(|problem| JobError::Engine { problem: format!("`engine.url` {problem}") })?))
}

#[cfg(not(feature = "spark"))]
fn spark(_: &Settings) -> Result<Arc<dyn RemoteEngine>, JobError> {
    // Settings that choose Spark are refused when they are read, if the program was built without Spark.
    Err(JobError::Engine { problem: "this program was built without Spark".to_string() })
}
