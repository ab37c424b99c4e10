//! The contacts' choices about subscriptions: the workspace's types, and the choices that the API cut from the contacts' records.

use std::path::Path;

use super::contact_requests::{ContactRequests, Question};
use super::plan::Plan;
use super::settings::{Job, nearest};
use super::{Context, JobError, joined};
use archive::snapshot::{Finding, ObservedSubscriptions, SpooledStream, cut_subscriptions};
use domain::{Months, Subscription, SubscriptionType, are_alike, did_you_mean};

/// The requests for contacts whose record does not have all of their choices.
const CHOICES: Question = Question { name: "subscriptions", about: "the subscriptions of contacts", is_optional: true };

/// The maximum number of choices of each kind in a contact's record.
const LISTED: usize = 10;

impl Plan {
    /// Whether a contact may have more choices of a kind than its record can have: the workspace has more types of that kind, or the
    /// number is unknown.
    pub fn may_cut_subscriptions(&self) -> bool {
        let of_kind = |kind: &str| self.subscription_types.iter().filter(|of| of.consent_type.as_deref() == Some(kind)).count();
        let is_unknown = self.subscription_types.is_empty() || self.subscription_types.iter().any(|of| of.consent_type.is_none());
        self.has_subscriptions && (is_unknown || ["opt_out", "opt_in"].iter().any(|kind| of_kind(kind) > LISTED))
    }

    /// Requests the types of subscriptions. Their names only make the reports easier to read, so a failure does not end the run.
    pub(super) async fn find_subscription_types(&mut self, context: &Context) {
        let job = &context.settings.job;
        if !job.subscriptions {
            return;
        }
        self.has_subscriptions = context.client.capabilities().has_subscriptions;
        if !self.has_subscriptions {
            let detail =
                "this version of the API does not have the contacts' subscriptions; `subscriptions = false` in the job silences this";
            self.findings.push(Finding::info("subscriptions_unknown", "subscriptions", detail).expected("2.5 or later"));
            return;
        }
        match context.client.subscription_types().await {
            Ok(types) => self.subscription_types = types.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the types of subscriptions could not be listed; the reports have their IDs in place of names");
                let detail = "the types of subscriptions could not be listed, so the reports have their IDs in place of names";
                self.findings.push(Finding::warning("subscription_types_unknown", "subscriptions", detail));
                return;
            }
        }
        for (rule, problem) in unknown_subscriptions(job, &self.subscription_types) {
            tracing::warn!("the rule `{rule}`: {problem}");
            self.findings.push(Finding::warning("subscription_unknown", format!("rule:{rule}"), problem));
        }
    }
}

/// The rules that name a type of subscription which the workspace does not have, each with a message.
pub(super) fn unknown_subscriptions<'a>(job: &'a Job, types: &[SubscriptionType]) -> Vec<(&'a str, String)> {
    let names: Vec<&str> = types.iter().map(|of| of.name.as_deref().unwrap_or(&of.id)).collect();
    let unknown = job.subscriptions_in_rules().filter(|(_, name)| !names.contains(name));
    let problem = |name: &str| {
        let same = names.iter().copied().find(|known| are_alike(known, name));
        let near = same.or_else(|| nearest(name, names.iter().copied())).map_or(String::new(), |near| did_you_mean(name, near));
        format!("the workspace has no type of subscription named {name:?}, so the condition never finds a choice about it{near}")
    };
    unknown.map(|(rule, name)| (rule, problem(name))).collect()
}

/// Requests the choices that the API cut. Returns what was observed.
pub(super) async fn complete(
    context: &Context,
    months: Months,
    plan: &Plan,
    streams: Vec<SpooledStream>,
    work: &Path,
) -> Result<ObservedSubscriptions, JobError> {
    let cut = joined(tokio::task::spawn_blocking(move || Ok(cut_subscriptions(&streams)?)).await)?;
    let requests: ContactRequests<Subscription> = ContactRequests::open(context, months, work, CHOICES).await?;
    let client = &context.client;
    // For a contact that no longer exists there is no answer. Then only the choices in its record are known.
    requests.ask(&cut, |id| async move { client.subscriptions(&id).await }).await?;
    Ok(ObservedSubscriptions { types: plan.subscription_types.clone(), answers: requests.end()? })
}
