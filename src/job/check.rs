//! Finds problems before a run: settings, token, API, permissions, groups, disk. It reports all findings, not only the first.
//! Nothing is written to Intercom, and nothing stays on disk.
//!
//! Names, time zone and attributes are checked by the job's own functions, so that a run has the same result.

mod api;
mod configuration;
mod engine;
mod groups;
mod output;
mod proxy;

use crate::privacy::PrivacyError;
use crate::settings::{self, SettingsError, Survey, TokenError};
use crate::{Clock, JobError, PriorMonth, Unresolved};
use archive::Archive;
use domain::{Group, GroupName};
use intercom::{ClientError, RequestError, Workspace};

/// The result of one check.
#[derive(Debug)]
pub struct Finding {
    pub subject: String,
    pub seen: Seen,
}

#[derive(Debug)]
pub enum Seen {
    Fine(String),
    /// Neither good nor bad.
    Noted(String),
    /// A run would continue.
    Warning {
        what: String,
        hint: Option<String>,
    },
    /// A run would fail, or leave out the subject.
    Error(Trouble),
}

/// Why a run would fail or leave something out. The command line has the exit code of each.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{problem} (in {origin})", problem = .0.problem, origin = .0.origin)]
    Setting(settings::Finding),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("{0}")]
    Unresolved(Unresolved),
    #[error("{name} is archived{}: the API does not list it, and a run leaves it out", .group.as_ref().map_or(String::new(), |group| format!(" (it is `{}`, id:{})", group.name, group.id)))]
    Archived { name: GroupName, group: Option<Group> },
    #[error("{free} are free and a month needs about {need}")]
    DiskSpace { free: String, need: String },
}

/// What to do about a clock that is wrong.
pub const CLOCK_HINT: &str =
    "set this machine's clock, and keep it right with NTP (`timedatectl set-ntp true`), then run the command again";
/// What to do about an archived group.
pub const ARCHIVED_HINT: &str = "restore it in Intercom, or remove it from the job file";

impl Finding {
    fn fine(subject: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { subject: subject.into(), seen: Seen::Fine(what.into()) }
    }

    fn noted(subject: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { subject: subject.into(), seen: Seen::Noted(what.into()) }
    }

    fn warning(subject: impl Into<String>, what: impl Into<String>, hint: Option<&str>) -> Finding {
        Finding { subject: subject.into(), seen: Seen::Warning { what: what.into(), hint: hint.map(str::to_string) } }
    }

    fn error(subject: impl Into<String>, trouble: impl Into<Trouble>) -> Finding {
        Finding { subject: subject.into(), seen: Seen::Error(trouble.into()) }
    }
}

/// Checks everything whose settings are valid.
pub async fn check(survey: Survey, clock: &Clock) -> Vec<Finding> {
    let now = clock();
    let knows_intercom = survey.is_certain_of("intercom");
    let knows_output = survey.is_certain_of("output.dir") && survey.is_certain_of("name");
    let knows_job = survey.is_certain_of("tags") && survey.is_certain_of("segments") && survey.is_certain_of("population");
    let knows_token = survey.is_certain_of("intercom.token_file");
    let knows_privacy = survey.is_certain_of("privacy");
    let knows_timezone = survey.is_certain_of("timezone");
    let (mut findings, settings) = configuration::findings(survey);

    if knows_privacy {
        configuration::privacy(&settings, &mut findings);
    }
    let has_route = knows_intercom && proxy::of_api(&settings, &mut findings);
    proxy::of_webhook(&settings, &mut findings);
    let client = match configuration::token(&settings, knows_token, &mut findings) {
        Some(token) if has_route => match crate::client(&api::impatient(&settings), token) {
            Ok(client) => Some(client),
            Err(error) => {
                findings.push(Finding::error("api", error));
                None
            }
        },
        Some(_) | None => None,
    };
    let answers = match &client {
        Some(client) => api::ask(client, &settings, now).await.findings(client, &settings, &mut findings),
        None => None,
    };
    if let (Some(client), Some(answers)) = (&client, &answers) {
        findings.extend(api::clock(client, settings.job.grace, answers.timezone.as_ref(), clock()));
    }
    let output = knows_output.then(|| {
        let archive = crate::archive(&settings)?;
        let tried = archive.try_out()?;
        Ok::<_, JobError>((archive, tried))
    });
    let planned = match (&client, &answers) {
        (Some(client), Some(answers)) if knows_job => {
            let prior_month = match &output {
                Some(Ok((archive, _))) => prior_month(archive, answers, &mut findings),
                Some(Err(_)) | None => PriorMonth::default(),
            };
            if let (Ok(Workspace { id: None, .. }), Some(before)) = (&answers.workspace, &prior_month.workspace_id)
                && client.capabilities().names_workspace
            {
                let what = format!("`GET /me` names none; earlier months are of `{before}`, and contacts of another workspace are refused");
                findings.push(Finding::warning("workspace", what, Some("make sure that the token is of that workspace")));
            }
            if knows_timezone {
                findings.extend(api::timezone(&settings.job, answers, &prior_month, now));
            }
            let planned = groups::check(client, &settings.job, answers, &prior_month, &mut findings).await;
            groups::check_profile(&settings.job, answers, &mut findings);
            groups::check_subscriptions(&settings.job, answers, &mut findings);
            planned
        }
        _ => {
            findings.push(Finding::noted("groups", "not checked, nor is anything that needs them: correct the errors above first"));
            None
        }
    };
    let engine = match &output {
        Some(Ok((archive, _))) => engine::engine(&settings, archive).await,
        Some(Err(_)) | None => None,
    };
    match output {
        Some(output) => output::check(output, planned, &mut findings),
        None => findings.push(Finding::noted("output", "not checked: its settings have errors")),
    }
    findings.extend(engine);
    findings
}

fn prior_month(archive: &Archive, answers: &api::Answers, findings: &mut Vec<Finding>) -> PriorMonth {
    let workspace_id = answers.workspace.as_ref().ok().and_then(|workspace| workspace.id.as_deref());
    match crate::prior_month(archive, workspace_id) {
        Ok(mut prior_month) => {
            // A run publishes its own month in spite of this, but cannot bring the history and reports of the unreadable month up to
            // date.
            for (month, error) in prior_month.unreadable.drain(..) {
                findings.push(Finding::error(format!("snapshot of {month}"), JobError::from(error)));
            }
            prior_month
        }
        Err(error @ JobError::OtherWorkspace { .. }) => {
            findings.push(Finding::error("workspace", error));
            PriorMonth::default()
        }
        Err(error) => {
            findings.push(Finding::error("output", error));
            PriorMonth::default()
        }
    }
}
