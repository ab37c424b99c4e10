//! Failures: what failed, where, why and what to do, and the exit codes.

mod engine;

use std::error::Error;

use archive::ArchiveError;
use archive::disk;
use archive::snapshot::SnapshotError;
use archive::store::{BucketError, StoreError};
use intercom::proxy::ProxyError;
use intercom::{ClientError, RequestError, StreamError};
use job::check::{ARCHIVED_HINT, CLOCK_HINT, Trouble};
use job::listing::ListingError;
use job::privacy::PrivacyError;
use job::settings::{SettingsError, TOKEN_VARIABLE, TokenError};
use job::{Forgotten, JobError, Unresolved};
use reports::history::HistoryError;

use engine::{ENGINE_PATH, engine_code_and_hint};

pub(super) const UNEXPECTED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const UNAUTHORIZED: u8 = 3;
pub(super) const NOT_FOUND: u8 = 4;
pub(super) const UNAVAILABLE: u8 = 5;
pub(super) const INCOMPLETE: u8 = 6;
pub(super) const LOCKED: u8 = 7;
pub(super) const ATTENTION: u8 = 8;
pub(super) const INTERRUPTED: u8 = 130;

/// A command that did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: Box<dyn Error>,
    hint: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Plain {
    message: String,
    source: Option<Box<dyn Error>>,
}

impl Failure {
    /// Wrong usage, with a hint.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: USAGE, error: Box::new(Plain { message: message.into(), source: None }), hint: Some(hint.into()) }
    }

    pub(super) fn unexpected(message: impl Into<String>, source: impl Error + 'static) -> Failure {
        Failure { code: UNEXPECTED, error: Box::new(Plain { message: message.into(), source: Some(Box::new(source)) }), hint: None }
    }

    /// The month was published, but not with every group that the job names.
    pub(super) fn published_without(unresolved: Vec<Unresolved>) -> Failure {
        let hint = "the other groups were published; correct the names in the job file, then run it again with --replace".to_string();
        Failure { code: NOT_FOUND, error: Box::new(JobError::Unresolved(unresolved)), hint: Some(hint) }
    }

    /// Some items succeeded, or would succeed, and others did not. All items were printed.
    pub(super) fn not_all(message: String, hint: &str) -> Failure {
        Failure { code: NOT_FOUND, error: Box::new(Plain { message, source: None }), hint: Some(hint.to_string()) }
    }

    /// The tag could not be created, so nothing was tagged.
    pub(super) fn not_made(error: RequestError) -> Failure {
        if error.is_refused() && !error.is_missing() && !error.is_version_refused() {
            let error = Plain { message: "the API refuses a tag of this name".to_string(), source: Some(Box::new(error)) };
            let hint = "nothing was tagged; try a shorter or simpler name (the maximum length is not documented)".to_string();
            return Failure { code: USAGE, error: Box::new(error), hint: Some(hint) };
        }
        Failure::unchanged(
            error,
            "the token needs the permission to write tags; nothing was tagged",
            "nothing was tagged; run it again later",
        )
    }

    /// A change stopped in the middle. The rows completed before were printed.
    pub(super) fn stopped(error: RequestError) -> Failure {
        Failure::unchanged(
            error,
            "the token needs the permission to write contacts, companies, conversations and tags; completed rows are listed above",
            "completed rows are listed above; run it again to continue: they are skipped",
        )
    }

    /// The API did not accept a change. The hint is `unauthorized` if the token may not write, and `otherwise` in all other cases.
    fn unchanged(error: RequestError, unauthorized: &str, otherwise: &str) -> Failure {
        let (code, _) = request_code_and_hint(&error, true);
        let hint = if error.is_unauthorized() { unauthorized } else { otherwise }.to_string();
        Failure { code, error: Box::new(error), hint: Some(hint) }
    }

    /// The result exists, but writing it to standard output failed.
    pub(super) fn unprinted(error: std::io::Error) -> Failure {
        let (code, hint) = if disk::is_full_in(&error) { (UNAVAILABLE, DISK_FULL) } else { (USAGE, "check where standard output leads") };
        let error = Plain { message: "the result could not be printed".to_string(), source: Some(Box::new(error)) };
        Failure { code, error: Box::new(error), hint: Some(hint.to_string()) }
    }

    /// The same failure with another hint.
    pub(super) fn but(self, hint: &str) -> Failure {
        Failure { hint: Some(hint.to_string()), ..self }
    }

    /// A person may still be in damaged files or in old versions of files. The message does not name the person.
    pub(super) fn not_all_forgotten(forgotten: &Forgotten) -> Failure {
        let damaged = forgotten.damaged.iter().map(|damaged| format!("\n  {damaged}"));
        let tags = forgotten.damaged_tags.iter().map(|(month, problem)| format!("\n  applied tags of {month}: {problem}"));
        if let (true, Some(problem)) = (forgotten.damaged.is_empty() && forgotten.damaged_tags.is_empty(), &forgotten.old_versions) {
            let message = format!("the person may still be in old versions of files that the bucket keeps: {problem}");
            let hint =
                "remove the old versions below the job's prefix, or let the bucket's lifecycle rule remove them; docs/storage.md has more";
            return Failure { code: INCOMPLETE, error: Box::new(Plain { message, source: None }), hint: Some(hint.to_string()) };
        }
        let message = format!("not everything could be searched{}", damaged.chain(tags).collect::<String>());
        let hint = "restore the damaged files, or give up the month with `cohorts report --month YYYY-MM --accept-loss`; then run `cohorts forget` again";
        Failure { code: INCOMPLETE, error: Box::new(Plain { message, source: None }), hint: Some(hint.to_string()) }
    }

    /// Some months were not copied, and a person must decide what to do about them.
    pub(super) fn not_all_copied(place: &str) -> Failure {
        let message = format!("not everything was copied to `{place}`; the months that differ are listed above");
        let hint = "of a month that differs, decide which one is right: restore the damaged one, or move the folder away that is wrong, and copy again";
        Failure { code: INCOMPLETE, error: Box::new(Plain { message, source: None }), hint: Some(hint.to_string()) }
    }

    /// The tag was renamed or deleted during the work, so the API used another tag.
    pub(super) fn other_tag(id: &str) -> Failure {
        let message = format!("the tag was renamed or deleted in the meantime: the API used another tag, id:{id}");
        Failure::not_all(
            message,
            "run `cohorts tags` to see both tags, the named one and the one that the API used; completed rows are listed above",
        )
    }

    /// A change that was interrupted.
    pub(super) fn interrupted_change(hint: &str) -> Failure {
        Failure::interrupted().but(hint)
    }

    pub(super) fn interrupted() -> Failure {
        let message = "interrupted".to_string();
        let hint = Some("nothing incomplete was published; run it again to continue".to_string());
        Failure { code: INTERRUPTED, error: Box::new(Plain { message, source: None }), hint }
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message and its causes in one line.
    pub(super) fn message(&self) -> String {
        let mut message = self.error.to_string();
        for cause in self.causes() {
            message.push_str(&format!(": {cause}"));
        }
        message
    }

    /// The message, its causes and the hint, as a person reads them.
    pub(super) fn text(&self) -> String {
        let mut text = format!("error: {}", self.error);
        for cause in self.causes() {
            text.push_str(&format!("\n  Caused by: {cause}"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        // Names are data and may contain control sequences of a terminal, so control characters are replaced by blanks.
        text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
    }

    /// Logs the failure as one line of a JSON log.
    pub(super) fn log(&self) {
        let (causes, hint) = (self.causes().join("; "), self.hint.as_deref().unwrap_or_default());
        tracing::error!(code = self.code, causes, hint, "{}", self.error);
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut cause = self.error.source();
        let mut last = self.error.to_string();
        while let Some(error) = cause {
            let message = error.to_string();
            // Skip wrappers that only repeat the message.
            if message != last {
                causes.push(message.clone());
            }
            last = message;
            cause = error.source();
        }
        causes
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Failure {
        let hint = "config/default.toml documents every key".to_string();
        Failure { code: USAGE, error: Box::new(error), hint: Some(hint) }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Failure {
        let hint = format!(
            "create a token under Developer Hub, your app, Authentication; then export {TOKEN_VARIABLE}=… or set `intercom.token_file`"
        );
        Failure { code: UNAUTHORIZED, error: Box::new(error), hint: Some(hint) }
    }
}

impl From<PrivacyError> for Failure {
    fn from(error: PrivacyError) -> Failure {
        let hint = "make one with `openssl rand -hex 32`, readable by its owner only, and name it in `privacy.hash_key_file`";
        Failure { code: USAGE, error: Box::new(error), hint: Some(hint.to_string()) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let (code, hint) = client_code_and_hint(&error);
        Failure { code, error: Box::new(error), hint }
    }
}

/// The failure of a command that only reads: no rows are kept, and nothing must be undone.
impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Failure {
        let (code, hint) = request_code_and_hint(&error, true);
        Failure { code, error: Box::new(error), hint }
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Failure {
        match error {
            StreamError::Request(error) => error.into(),
            StreamError::PageRefused { ref source, .. } => {
                let hint = Some(refused_hint(source).to_string());
                Failure { code: INCOMPLETE, error: Box::new(error), hint }
            }
            error => Failure { code: INCOMPLETE, error: Box::new(error), hint: Some("run it again; nothing was changed".to_string()) },
        }
    }
}

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Failure {
        let hint = "`cohorts tags` and `cohorts segments` list them with their IDs".to_string();
        Failure { code: NOT_FOUND, error: Box::new(Plain { message: unresolved.to_string(), source: None }), hint: Some(hint) }
    }
}

impl From<ListingError> for Failure {
    fn from(error: ListingError) -> Failure {
        let (code, hint) = match &error {
            error if disk::is_full_in(error) => (UNAVAILABLE, DISK_FULL),
            ListingError::Request(error) => {
                let (code, hint) = request_code_and_hint(error, true);
                return Failure { code, hint, error: Box::new(error.clone()) };
            }
            ListingError::Stream(_) | ListingError::Incomplete { .. } => {
                (INCOMPLETE, "the printed rows are incomplete, and no file was written; run it again")
            }
            ListingError::Table(_)
            | ListingError::Publish(_)
            | ListingError::Columns(_)
            | ListingError::Write(_)
            | ListingError::Closed => (USAGE, "check the path of `-o`, its permissions and the disk"),
        };
        Failure { code, error: Box::new(error), hint: Some(hint.to_string()) }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Failure {
        Failure { code: UNEXPECTED, error: Box::new(error), hint: None }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Failure {
        let (code, hint) = code_and_hint(&error);
        Failure { code, error: Box::new(error), hint }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        let (code, hint) = match trouble {
            Trouble::Settings(error) => return error.into(),
            Trouble::Token(error) => return error.into(),
            Trouble::Privacy(error) => return error.into(),
            Trouble::Client(error) => return error.into(),
            Trouble::Request(error) => return error.into(),
            Trouble::Job(error) => return error.into(),
            Trouble::Setting(_) => (USAGE, "config/default.toml documents every key"),
            Trouble::Unresolved(unresolved) => return unresolved.into(),
            Trouble::Archived { .. } => (NOT_FOUND, ARCHIVED_HINT),
            Trouble::DiskSpace { .. } => (UNAVAILABLE, "free some space, or put `output.dir` on a larger disk"),
        };
        Failure { code, error: Box::new(trouble), hint: Some(hint.to_string()) }
    }
}

const DISK_FULL: &str = "the disk is full, or a file would be larger than `ulimit -f` or LimitFSIZE allow: free some space or raise the limit, and run it again";
const DISK_FULL_KEPT: &str = "the disk is full, or a file would be larger than `ulimit -f` or LimitFSIZE allow; the rows written so far are kept: free some space or raise the limit, and run it again to continue";
const DAMAGED_HINT: &str = "restore the folder from a backup; if there is none, `cohorts report --month YYYY-MM --accept-loss` continues without that month; `cohorts status --check` searches for more damage";
const UNREACHABLE: &str = "what was fetched is kept on this machine: run it again to continue";
const REBUILD: &str =
    "the snapshots were not changed: `cohorts status --check` shows whether they are damaged; `cohorts report --all` rebuilds the rest";

fn code_and_hint(error: &JobError) -> (u8, Option<String>) {
    let with = |code: u8, hint: &str| (code, Some(hint.to_string()));
    if disk::is_full_in(error) {
        return with(UNAVAILABLE, DISK_FULL_KEPT);
    }
    match BucketError::find_in(error) {
        Some(BucketError::Unreachable(_)) => {
            return with(UNAVAILABLE, UNREACHABLE);
        }
        Some(BucketError::LostLock(_)) => {
            return with(LOCKED, "nothing was overwritten: see what the other run did, then run it again");
        }
        Some(BucketError::Refused(_)) => {
            return with(USAGE, "check `output.dir`, the environment variables of the store, and the permissions in docs/storage.md");
        }
        None => {}
    }
    if error.is_unsound_answer() {
        return with(
            INCOMPLETE,
            "the finished streams are kept: run it again later; if it fails again, show this message to Intercom's support",
        );
    }
    if let Some(request) = error.request() {
        return request_code_and_hint(request, matches!(error, JobError::Request(_)));
    }
    if let Some((code, hint)) = error.engine().and_then(engine_code_and_hint) {
        return with(code, &format!("the snapshot is published and kept; {hint}"));
    }
    match error {
        JobError::Engine { .. } => with(USAGE, "config/default.toml documents every key; docs/scale.md has examples"),
        JobError::Script(_) => with(USAGE, "check the path of `--engine-script`; nothing was built"),
        JobError::Token(_) => with(UNAUTHORIZED, "check `engine.token_file`"),
        JobError::EngineCheck(error) => match engine_code_and_hint(error) {
            Some((code, hint)) => with(code, hint),
            None => with(UNEXPECTED, ENGINE_PATH),
        },
        JobError::ForgetUnfinished { .. } => with(USAGE, "run `cohorts forget` there again: it continues for the same persons"),
        JobError::OtherCopy { .. } => with(USAGE, "copy to another place, or give the job another `name`"),
        JobError::NoWorkFolder => with(USAGE, "set `output.work_dir`, or the environment variable XDG_STATE_HOME or HOME"),
        JobError::NoTimezone { .. } => with(USAGE, "name one in the job file, for example timezone = \"Europe/Dublin\""),
        JobError::NotBegun { .. } => with(USAGE, "without --month, the last month that has ended is used"),
        JobError::ClockDiffers { .. } => with(USAGE, CLOCK_HINT),
        JobError::LowerBasis { .. } => with(USAGE, "to replace it anyway, first move the month's folder out of snapshots/"),
        JobError::WouldDrop { .. } => {
            with(NOT_FOUND, "to drop the group, remove its name from the job file; or first move the month's folder out of snapshots/")
        }
        JobError::WouldLose { .. } => with(
            INCOMPLETE,
            "run it again without --accept-incomplete; to replace it anyway, first move the month's folder out of snapshots/",
        ),
        JobError::IncompleteTags { .. } => {
            with(INCOMPLETE, "the month is published; complete it with --replace, then run it with --apply-tags")
        }
        JobError::OtherWorkspace { .. } => with(USAGE, "give this job another `name`, or use the other workspace's token"),
        JobError::OtherKey { .. } => {
            with(USAGE, "set `privacy.hash_key_file` to the key of the earlier months; with a new key, give this job another `name`")
        }
        JobError::Unresolved(_) => with(NOT_FOUND, "correct the names in the job file; use a name, an ID or \"id:<ID>\""),
        JobError::Incomplete { .. } => {
            with(INCOMPLETE, "the complete streams are kept: run it again later, or publish it as it is with --accept-incomplete")
        }
        JobError::Stream { source, .. } if let StreamError::PageRefused { source, .. } = &**source => {
            with(INCOMPLETE, refused_hint(source))
        }
        JobError::Stream { source, .. } if matches!(**source, StreamError::TooLong { .. }) => {
            with(INCOMPLETE, "set `intercom.api_version` to 2.0 or later, or `conversations = false`")
        }
        JobError::Stream { .. } | JobError::TooSlow { .. } => {
            with(INCOMPLETE, "the finished streams are kept: run it again; if it fails again, show this message to Intercom's support")
        }
        JobError::Archive(ArchiveError::Store(StoreError::Locked { .. })) => {
            with(LOCKED, "wait until it has ended; the lock ends with the process, in a bucket at most some minutes later")
        }
        JobError::Archive(ArchiveError::Store(StoreError::Unconditional { .. })) => {
            with(USAGE, "use a store that honours `If-None-Match` and `If-Match` on writes: docs/storage.md names some; or a folder")
        }
        JobError::Archive(ArchiveError::Store(StoreError::OtherFileSystem { .. })) => with(
            USAGE,
            "keep all of the job's folder on one file system: mount or link `output.dir` or the job's folder, not a folder inside it",
        ),
        JobError::Archive(ArchiveError::NoSnapshot { .. }) => with(USAGE, "`cohorts status` lists the published months"),
        JobError::NotNewest { .. } => with(USAGE, "run the newest month with --apply-tags"),
        JobError::LargeTagChange { .. } => {
            with(USAGE, "check the rule's members in the reports; --force-tags applies the change anyway, `max_tag_change` sets the limit")
        }
        JobError::OtherTag { .. } => with(NOT_FOUND, "compare both with `cohorts tags`, then run it again"),
        JobError::Apply { .. } => with(UNAVAILABLE, "run it again with --apply-tags to continue"),
        JobError::NotFetched(_) => {
            with(UNEXPECTED, "the rows are kept; please report this message, with `plan.json` of the folder under `.work/`")
        }
        JobError::Interrupted => with(INTERRUPTED, "run it again to continue"),
        JobError::Publish(_) | JobError::Archive(ArchiveError::Publish(_) | ArchiveError::Store(StoreError::Publish(_))) => {
            with(USAGE, "check `output.dir`, `output.work_dir`, their permissions and the disk")
        }
        JobError::Snapshot(SnapshotError::Format { .. }) => {
            with(UNEXPECTED, "a newer version of this program wrote it: use that version; nothing was changed")
        }
        JobError::Snapshot(error) if error.is_damage() => with(INCOMPLETE, DAMAGED_HINT),
        JobError::Damaged(_) => with(INCOMPLETE, DAMAGED_HINT),
        JobError::DamagedApplied(_) => with(
            INCOMPLETE,
            "restore `applied/` from a backup; or move that folder away: then the tags that this job added count as a person's, and it never removes them",
        ),
        JobError::DamagedJournal { .. } => with(INCOMPLETE, "delete the file, and run `cohorts forget` again for each of these persons"),
        JobError::History { source: HistoryError::Damaged(_), .. } => {
            with(INCOMPLETE, "the snapshots were not changed: `cohorts report --all` rebuilds the rest")
        }
        JobError::Snapshot(_) | JobError::Archive(ArchiveError::Snapshot(_)) | JobError::History { .. } | JobError::Report { .. } => {
            with(UNEXPECTED, REBUILD)
        }
        JobError::Client(error) => client_code_and_hint(error),
        JobError::Request(_) | JobError::Fetch { .. } => (UNEXPECTED, None),
    }
}

fn client_code_and_hint(error: &ClientError) -> (u8, Option<String>) {
    match error {
        ClientError::Proxy(_) => (USAGE, Some(ProxyError::HINT.to_string())),
        ClientError::Setup(_) | ClientError::Version(_) => (UNEXPECTED, None),
    }
}

/// What to do if the API refuses a request but answers other requests.
fn refused_hint(error: &RequestError) -> &'static str {
    if error.is_missing() && error.path.starts_with("/conversations") {
        "Intercom answers like this while its index contains a deleted conversation: another `intercom.api_version` has helped, and waiting some days may help; --accept-incomplete publishes the month without its conversations"
    } else if error.is_missing() {
        "other requests were answered, so address and token are right: this API version may not have it, or a search still returns something that was deleted; run it again later, or with another `intercom.api_version`"
    } else {
        "other requests of this run were answered, so address and token are right: try another `intercom.api_version`; if it fails again, show this message to Intercom's support"
    }
}

/// The exit code and the hint for a failed request. `is_first` says that no rows were fetched yet.
fn request_code_and_hint(error: &RequestError, is_first: bool) -> (u8, Option<String>) {
    if let Some(failure) = error.proxy_failure() {
        let kept = if is_first { "" } else { "the finished streams are kept, run it again to continue; " };
        return (UNAVAILABLE, Some(format!("{kept}{}", failure.hint())));
    }
    if let Some(problem) = error.certificate_problem() {
        return (UNAVAILABLE, Some(problem.hint().to_string()));
    }
    let (code, hint) = if error.is_unauthorized() {
        (UNAUTHORIZED, "check the access token and its permissions, and whether `region` (or `base_url`) is the one of this workspace")
    } else if error.is_version_refused() {
        (
            USAGE,
            "the API does not serve this version to this app (1.x may be switched off for it): set `intercom.api_version` to another one, such as \"2.14\"",
        )
    } else if error.is_too_large() {
        (USAGE, "set a smaller `intercom.page_size`")
    } else if error.is_rejected_after_success() {
        (INCOMPLETE, refused_hint(error))
    } else if is_first && error.is_wrong_address() {
        (USAGE, "this address does not exist: check `intercom.base_url` and `intercom.region`")
    } else if error.is_unusable() {
        (
            INCOMPLETE,
            "the answer was the same each time, so waiting does not help: try another `intercom.api_version`; otherwise show this message to Intercom's support",
        )
    } else if error.is_unreadable() {
        (
            UNAVAILABLE,
            "the answer is not as Intercom documents it: check `intercom.base_url`, and whether a proxy is in between; if it fails again, show this message to Intercom's support",
        )
    } else if error.is_transient() && is_first {
        (UNAVAILABLE, "check the network, `intercom.base_url` and Intercom's status page, then run it again")
    } else if error.is_transient() {
        (
            UNAVAILABLE,
            "the finished streams are kept: run it again to continue; if it fails again, check the network and Intercom's status page",
        )
    } else {
        (UNEXPECTED, "the API refused the request; check `intercom.base_url` and `intercom.api_version`")
    };
    (code, Some(hint.to_string()))
}
