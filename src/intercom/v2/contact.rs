//! Requests about one contact: its tags, its choices about subscriptions, and what became of it.

use super::V2;
use crate::error::{Failure, RequestError};
use crate::transport::Request;
use crate::wire;
use crate::wire::subscriptions::{first_of_each, subscriptions};
use domain::{Fate, Subscription, TagDate};

/// The most further merges that are followed after the first one. The API follows the same number of merges.
const HOPS_MAX: u32 = 3;

impl V2 {
    /// The tags of a contact, with the time when each was added. `None` when the contact no longer exists.
    pub(crate) async fn tag_dates(&self, contact_id: &str) -> Result<Option<Vec<TagDate>>, RequestError> {
        self.list_of(contact_id, "tags", wire::tag_dates).await
    }

    /// All choices of a contact. `None` when the contact no longer exists.
    pub(crate) async fn subscriptions(&self, contact_id: &str) -> Result<Option<Vec<Subscription>>, RequestError> {
        let choices = self.list_of(contact_id, "subscriptions", subscriptions).await?;
        Ok(choices.map(|choices| first_of_each(choices.into_iter().flatten().collect())))
    }

    /// A list of things that belong to a contact. `None` when the contact no longer exists.
    async fn list_of<T: PartialEq + Send + 'static>(
        &self,
        contact_id: &str,
        list: &str,
        decode: wire::Decode<T>,
    ) -> Result<Option<Vec<T>>, RequestError> {
        if !wire::is_id(contact_id) {
            return Ok(None);
        }
        let request = Request::get(&format!("/contacts/{{id}}/{list}")).at(format!("/contacts/{contact_id}/{list}"));
        match self.transport.full_list(&request, decode).await {
            Err(error) if error.is_not_found() || error.is_gone() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// What became of a contact. Merges are followed to the contact that still exists. `is_known` says which contacts are known to exist:
    /// these contacts are not requested.
    pub(crate) async fn fate(&self, contact_id: &str, is_known: &(dyn Fn(&str) -> bool + Sync)) -> Result<Fate, RequestError> {
        let mut fate = Fate::Deleted;
        let mut asked = contact_id.to_string();
        for _ in 0..=HOPS_MAX {
            if !wire::is_id(&asked) {
                break;
            }
            let request = Request::get("/contacts/{id}").at(format!("/contacts/{asked}"));
            let error = match self.transport.send(&request, wire::contact_id).await {
                Ok(found) if found == contact_id => return Ok(Fate::Present),
                // The API may return the contact into which this contact was merged.
                Ok(found) => return Ok(Fate::Merged(found)),
                Err(error) => error,
            };
            let next = match &error.failure {
                Failure::Status { status: 404, .. } => return Ok(fate),
                Failure::Status { status: 410, canonical, .. } => canonical.as_deref().map(str::to_string),
                _ => return Err(error),
            };
            // Without a link to another contact, this is the end: the last merge that was found or, if there was none, `Deleted`.
            let Some(next) = next.filter(|next| *next != asked) else { return Ok(fate) };
            let is_end = is_known(&next);
            fate = Fate::Merged(next.clone());
            if is_end {
                break;
            }
            asked = next;
        }
        Ok(fate)
    }
}
