//! The contacts' choices about subscriptions: the workspace's types, and the choices that the API cut from the contacts' records.

use std::path::Path;

use super::contact_requests::{ContactRequests, Question};
use super::plan::Plan;
use super::{Context, JobError, joined};
use archive::snapshot::{Finding, ObservedSubscriptions, SpooledStream, cut_subscriptions};
use domain::{Months, Subscription};
use reports::rules::Reference;

/// The choices of contacts whose record has not all of them.
const CHOICES: Question = Question { name: "subscriptions", about: "the subscriptions of contacts", is_optional: true };

/// The record of a contact has at most so many choices of each kind.
const LISTED: usize = 10;

impl Plan {
    /// Whether a contact may have more choices of a kind than its record has: the workspace has so many types.
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
        let is_known = |name: &str| self.subscription_types.iter().any(|of| of.name.as_deref().unwrap_or(&of.id) == name);
        let references =
            job.rules.iter().flat_map(|rule| rule.rule.condition.references().iter().map(|reference| (&rule.rule.name, reference)));
        for (rule, reference) in references {
            let Reference::Subscription { name, .. } = reference else { continue };
            if !is_known(name) {
                tracing::warn!("the rule `{rule}` names the subscription {name:?}, which the workspace does not have");
                let detail =
                    format!("the workspace has no type of subscription named {name:?}, so the condition never finds a choice about it");
                self.findings.push(Finding::warning("subscription_unknown", format!("rule:{rule}"), detail));
            }
        }
    }
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
    // A contact that is gone has no answer. Its record has the choices that came.
    requests.ask(&cut, |id| async move { client.subscriptions(&id).await }).await?;
    Ok(ObservedSubscriptions { types: plan.subscription_types.clone(), answers: requests.end()? })
}
