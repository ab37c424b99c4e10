//! Looks up what references mean, before the first change.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::OnProgress;
use super::answer::{self, Answer};
use domain::{FoundContact, Group, Reference};
use intercom::{Client, RequestError, StreamError};

/// The number of contacts that are looked up between two progress reports.
const LOOKUP: usize = 600;
/// The maximum number of conversations that are looked up at the same time. The rate limiter may allow fewer.
const CONVERSATIONS: usize = 16;

/// Looks up contacts by IDs and e-mail addresses, and conversations by IDs. Companies are not looked up, because the API cannot search
/// for several companies in one request.
pub(super) async fn look_up(
    client: &Client,
    distinct: &[(usize, Reference)],
    tag: Option<&Group>,
    on_progress: OnProgress<'_>,
) -> Result<HashMap<Reference, Answer>, StreamError> {
    let wanted = distinct.iter().map(|(_, reference)| reference).filter(|reference| answer::is_plausible(reference));
    let wanted = wanted.filter(|reference| !matches!(reference, Reference::CompanyId(_))).cloned();
    let (conversations, wanted): (Vec<Reference>, Vec<Reference>) =
        wanted.partition(|reference| matches!(reference, Reference::ConversationId(_)));
    let mut answers = of_conversations(client, conversations, tag, on_progress).await?;
    let all = answers.len() + wanted.len();
    let mut waiting: Vec<&[Reference]> = wanted.chunks(LOOKUP).rev().collect();
    while let Some(some) = waiting.pop() {
        match client.find(some, tag).await {
            Ok(holders) => {
                let holders = ByName::of(&holders);
                answers.extend(some.iter().map(|reference| (reference.clone(), Answer::of(reference, &holders.of_reference(reference)))));
            }
            // An item that the API refuses to search must not block the others.
            Err(StreamError::Request(error)) if error.is_refused() && some.len() > 1 => {
                let (left, right) = some.split_at(some.len() / 2);
                waiting.extend([right, left]);
                continue;
            }
            Err(StreamError::Request(error)) if error.is_refused() => {
                answers.extend(some.iter().map(|reference| (reference.clone(), Answer::failed(&error))));
            }
            Err(error) => return Err(error),
        }
        on_progress("looked up", answers.len(), all);
    }
    Ok(answers)
}

/// Looks up conversations, with a request for each.
async fn of_conversations(
    client: &Client,
    conversations: Vec<Reference>,
    tag: Option<&Group>,
    on_progress: OnProgress<'_>,
) -> Result<HashMap<Reference, Answer>, RequestError> {
    let all = conversations.len();
    let look_up = |conversation: Reference| async move {
        let answer = match client.conversation_tags(conversation.text()).await {
            Ok(Some(tags)) => Answer::One { id: conversation.text().to_string(), is_tagged: tag.and_then(|tag| tags.contains(&tag.id)) },
            Ok(None) => Answer::Nobody(answer::not_found(&conversation)),
            Err(error) if error.is_refused() => Answer::failed(&error),
            Err(error) => return Err(error),
        };
        Ok((conversation, answer))
    };
    let mut looked_up = stream::iter(conversations.into_iter().map(look_up)).buffer_unordered(CONVERSATIONS);
    let mut answers = HashMap::new();
    while let Some((conversation, answer)) = looked_up.try_next().await? {
        answers.insert(conversation, answer);
        on_progress("looked up", answers.len(), all);
    }
    Ok(answers)
}

/// The contacts that were found, indexed by id, email and external id.
struct ByName<'a> {
    ids: HashMap<&'a str, Vec<&'a FoundContact>>,
    emails: HashMap<String, Vec<&'a FoundContact>>,
    external_ids: HashMap<&'a str, Vec<&'a FoundContact>>,
}

impl<'a> ByName<'a> {
    fn of(holders: &'a [FoundContact]) -> ByName<'a> {
        let mut ids: HashMap<&str, Vec<&FoundContact>> = HashMap::new();
        let mut emails: HashMap<String, Vec<&FoundContact>> = HashMap::new();
        let mut external_ids: HashMap<&str, Vec<&FoundContact>> = HashMap::new();
        for holder in holders {
            // Two pages may show the same contact.
            if ids.contains_key(holder.id.as_str()) {
                continue;
            }
            ids.entry(holder.id.as_str()).or_default().push(holder);
            if let Some(email) = &holder.email {
                emails.entry(email.to_lowercase()).or_default().push(holder);
            }
            if let Some(external_id) = &holder.external_id {
                external_ids.entry(external_id.as_str()).or_default().push(holder);
            }
        }
        ByName { ids, emails, external_ids }
    }

    fn of_reference(&self, reference: &Reference) -> Vec<&'a FoundContact> {
        let found = match reference {
            Reference::Email(email) => self.emails.get(&email.to_lowercase()),
            Reference::ExternalId(id) => self.external_ids.get(id.as_str()),
            Reference::ContactId(id) => self.ids.get(id.as_str()),
            Reference::CompanyId(_) | Reference::ConversationId(_) => None,
        };
        found.cloned().unwrap_or_default()
    }
}
