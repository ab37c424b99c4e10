//! Looks up what references mean, before the first change.

use std::collections::HashMap;

use super::OnProgress;
use super::answer::{self, Answer};
use domain::{FoundContact, Group, Reference};
use intercom::{Client, StreamError};

/// The number of contacts that are looked up between two progress reports.
const LOOKUP: usize = 600;

/// Looks up contacts by ids and addresses.
pub(super) async fn look_up(
    client: &Client,
    distinct: &[(usize, Reference)],
    tag: Option<&Group>,
    on_progress: OnProgress<'_>,
) -> Result<HashMap<Reference, Answer>, StreamError> {
    let by_search = |reference: &&Reference| !matches!(reference, Reference::CompanyId(_)) && answer::is_plausible(reference);
    let wanted: Vec<Reference> = distinct.iter().map(|(_, reference)| reference).filter(by_search).cloned().collect();
    let mut answers = HashMap::new();
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
        on_progress("looked up", answers.len(), wanted.len());
    }
    Ok(answers)
}

/// The contacts that were found, by everything that may name them.
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
            Reference::CompanyId(_) => None,
        };
        found.cloned().unwrap_or_default()
    }
}
