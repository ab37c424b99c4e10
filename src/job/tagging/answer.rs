//! What an answer of the API means for the members of a call.

use super::{ItemResult, Outcome};
use domain::{FoundContact, Reference, Role};
use intercom::{Change, Client, RequestError, StreamError, TagCall};

/// The maximum number of ids in a reason.
const CANDIDATES_MAX: usize = 10;

/// The contact or conversation that a reference means.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    One { id: String, is_tagged: Option<bool> },
    Nobody(Outcome),
}

impl Answer {
    /// The contact that a reference means. An e-mail address or the workspace's own ID can mean only a user. A lead is found only by
    /// Intercom's ID.
    pub(super) fn of(reference: &Reference, holders: &[&FoundContact]) -> Answer {
        if let (Reference::ContactId(_), [holder, ..]) = (reference, holders) {
            return Answer::One { id: holder.id.clone(), is_tagged: holder.is_tagged };
        }
        let ids = |role: Role| holders.iter().filter(|holder| holder.role == role).map(|holder| holder.id.as_str()).collect::<Vec<_>>();
        let (users, leads) = (ids(Role::User), ids(Role::Lead));
        match users[..] {
            [id] => {
                let is_tagged = holders.iter().find(|holder| holder.id == id).and_then(|holder| holder.is_tagged);
                Answer::One { id: id.to_string(), is_tagged }
            }
            [] if leads.is_empty() => Answer::Nobody(not_found(reference)),
            [] => Answer::Nobody(Outcome::because(
                ItemResult::NotFound,
                format!("no user, but a lead has it: name leads by their ID ({})", listed(&leads)),
            )),
            _ => Answer::Nobody(Outcome::because(ItemResult::Ambiguous, format!("{} users have it: {}", users.len(), listed(&users)))),
        }
    }

    pub(super) fn failed(error: &RequestError) -> Answer {
        Answer::Nobody(Outcome::because(ItemResult::Failed, reason(error)))
    }
}

fn listed(ids: &[&str]) -> String {
    let more = ids.len().saturating_sub(CANDIDATES_MAX);
    let shown = ids[..ids.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Whether the member can be requested. An ID becomes part of a URL, so not every text is possible.
pub(super) fn is_plausible(member: &Reference) -> bool {
    match member {
        Reference::ContactId(id) | Reference::ConversationId(id) => {
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        }
        Reference::ExternalId(_) | Reference::Email(_) | Reference::CompanyId(_) => true,
    }
}

/// The reason of a failure, without the elapsed time, so that the same cause gives the same text.
pub(super) fn reason(error: &RequestError) -> String {
    format!("`{} {}` {}", error.method, error.path, error.failure)
}

fn id_of(member: &Reference) -> Option<String> {
    match member {
        Reference::ContactId(id) | Reference::ConversationId(id) => Some(id.clone()),
        Reference::ExternalId(_) | Reference::Email(_) | Reference::CompanyId(_) => None,
    }
}

pub(super) fn unanswered(member: &Reference) -> Outcome {
    Outcome { id: id_of(member), ..Outcome::because(ItemResult::Unknown, "sent, but there was no clear answer") }
}

pub(super) fn changed(member: &Reference, change: Change) -> Outcome {
    let result = match change {
        Change::Tag => ItemResult::Tagged,
        Change::Untag => ItemResult::Untagged,
    };
    Outcome { id: id_of(member), ..Outcome::new(result) }
}

pub(super) fn not_found(member: &Reference) -> Outcome {
    Outcome::because(
        ItemResult::NotFound,
        match member {
            Reference::ContactId(_) => "no contact has this ID; the workspace's own ID is a user_id",
            Reference::ExternalId(_) => "no user has this `user_id`; if it is Intercom's own ID, give it as `id`",
            Reference::Email(_) => "no user has this e-mail address",
            Reference::CompanyId(_) => "no company has this company_id",
            Reference::ConversationId(_) => "no conversation has this ID",
        },
    )
}

/// Why a call for a single member was refused.
pub(super) async fn refused(client: &Client, call: &TagCall, member: &Reference, error: &RequestError) -> Result<Outcome, RequestError> {
    let needs_a_look = match member {
        Reference::Email(_) => true,
        // Either the contact does not exist, or it does not have the tag.
        Reference::ContactId(_) => call.is_detach(),
        Reference::ConversationId(id) => return refused_conversation(client, call, member, id, error).await,
        Reference::ExternalId(_) | Reference::CompanyId(_) => false,
    };
    if needs_a_look {
        let holders = match client.find(std::slice::from_ref(member), Some(call.tag())).await {
            Ok(holders) => holders,
            Err(StreamError::Request(error)) if error.is_ambiguous() => {
                return Ok(Outcome::because(ItemResult::Ambiguous, "several users have it; this API version does not say which"));
            }
            Err(StreamError::Request(error)) if !error.is_refused() => return Err(error),
            Err(_) => Vec::new(),
        };
        match member {
            Reference::ContactId(id) if holders.iter().any(|holder| holder.id == *id) => {
                return Ok(Outcome { id: Some(id.clone()), ..Outcome::new(ItemResult::NotTagged) });
            }
            Reference::Email(email) => {
                let is_same =
                    |holder: &&FoundContact| holder.email.as_ref().is_some_and(|other| other.to_lowercase() == email.to_lowercase());
                if let Answer::Nobody(outcome) = Answer::of(member, &holders.iter().filter(is_same).collect::<Vec<_>>()) {
                    return Ok(outcome);
                }
            }
            _ => {}
        }
    }
    Ok(if error.is_missing() { not_found(member) } else { Outcome::because(ItemResult::Failed, reason(error)) })
}

/// Why a call for a conversation was refused. A 404 may mean the conversation, its tag or the admin.
async fn refused_conversation(
    client: &Client,
    call: &TagCall,
    member: &Reference,
    id: &str,
    error: &RequestError,
) -> Result<Outcome, RequestError> {
    let tags = match client.conversation_tags(id).await {
        Ok(None) => return Ok(not_found(member)),
        Ok(tags) => tags,
        Err(error) if error.is_refused() => None,
        Err(error) => return Err(error),
    };
    let result = match (call.change(), tags.and_then(|tags| tags.contains(&call.tag().id))) {
        (Change::Tag, Some(true)) => ItemResult::AlreadyTagged,
        (Change::Untag, Some(false)) => ItemResult::NotTagged,
        _ => return Ok(Outcome::because(ItemResult::Failed, format!("{}; check the admin ID", reason(error)))),
    };
    Ok(Outcome { id: id_of(member), ..Outcome::new(result) })
}
