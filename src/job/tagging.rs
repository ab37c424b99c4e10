//! Adds a tag to contacts, companies and conversations in bulk, or removes it, with a result for each. This is the only change that this
//! program makes in a workspace. Repeating it changes nothing.
//!
//! Before API version 2.16, a call succeeds or fails as a whole. From 2.16 on, it may succeed for some members without naming them. A
//! call that did not succeed for all members is therefore split, until each failing member is alone in a call and all others are done.

mod answer;
mod input;
mod look_up;

use std::collections::HashMap;
use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use answer::Answer;
use domain::{Group, GroupKind, Reference};
use intercom::{Change, Client, RequestError, StreamError, TagAnswer, TagCall};
use look_up::look_up;

pub use input::{Input, InputError, Item, read};

/// The maximum number of calls under way. The rate limiter may allow fewer.
const CALLS: usize = 16;

/// The tag to add or remove.
#[derive(Clone, Debug)]
pub enum Target {
    Existing(Group),
    /// The tag is to be created with this name.
    New(String),
}

/// The result of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Intercom's id of the contact or conversation, if known.
    pub id: Option<String>,
    pub result: ItemResult,
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemResult {
    Tagged,
    AlreadyTagged,
    Untagged,
    /// The item did not have the tag.
    NotTagged,
    NotFound,
    /// Several users have the e-mail address or external ID.
    Ambiguous,
    /// A row that names no contact, company or conversation.
    Unusable,
    Failed,
    /// A call was sent without a clear answer: the change may have been made or not.
    Unknown,
    /// The work stopped before this item, or was only planned.
    NotTried,
}

impl ItemResult {
    pub fn as_str(self) -> &'static str {
        match self {
            ItemResult::Tagged => "tagged",
            ItemResult::AlreadyTagged => "already tagged",
            ItemResult::Untagged => "untagged",
            ItemResult::NotTagged => "not tagged",
            ItemResult::NotFound => "not found",
            ItemResult::Ambiguous => "ambiguous e-mail",
            ItemResult::Unusable => "unusable",
            ItemResult::Failed => "failed",
            ItemResult::Unknown => "unknown",
            ItemResult::NotTried => "not tried",
        }
    }

    /// Whether the item is now as requested.
    pub fn is_done(self) -> bool {
        matches!(self, ItemResult::Tagged | ItemResult::AlreadyTagged | ItemResult::Untagged | ItemResult::NotTagged)
    }
}

impl Outcome {
    fn new(result: ItemResult) -> Outcome {
        Outcome { id: None, result, reason: None }
    }

    fn because(result: ItemResult, reason: impl Into<String>) -> Outcome {
        Outcome { id: None, result, reason: Some(reason.into()) }
    }
}

/// Reports progress: the step, how many are done, and how many in total.
pub type OnProgress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// Everything that is known before the first change.
#[derive(Debug)]
pub struct Work {
    target: Target,
    change: Change,
    /// The admin in whose name conversations are tagged. Empty if there are no conversations.
    admin_id: String,
    items: Vec<Item>,
    /// The results that are known already, by item; `None` if the result is not known yet.
    outcomes: Vec<Option<Outcome>>,
    /// The contacts, companies and conversations, each once.
    members: Vec<Member>,
}

/// A contact, company or conversation that a call will name, with the items that mean it.
#[derive(Debug)]
struct Member {
    reference: Reference,
    items: Vec<usize>,
    known: Known,
}

/// What is known about a member before the first change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Found,
    /// The contact was not found. A new contact may be missing from searches for some minutes, so the call decides.
    Missing,
    /// The contact or company was not looked up. Only the call will show whether it exists.
    Unasked,
}

/// The results of all items.
#[derive(Debug)]
pub struct Done {
    pub tag: Option<Group>,
    /// Whether this command created the tag.
    pub is_new: bool,
    pub items: Vec<Item>,
    pub outcomes: Vec<Outcome>,
    /// Why the work stopped; `None` if it did not stop.
    pub stopped: Option<Stopped>,
}

#[derive(Debug)]
pub enum Stopped {
    Failed(RequestError),
    Interrupted,
    /// The tag was renamed or deleted in the meantime: the API used another tag with this ID.
    OtherTag(String),
}

/// Looks up the contacts and conversations that the items mean, as far as the calls need it. Changes nothing. `admin_id` is only used to
/// tag conversations.
pub async fn prepare(
    client: &Client,
    target: Target,
    change: Change,
    items: Vec<Item>,
    admin_id: Option<String>,
    on_progress: OnProgress<'_>,
) -> Result<Work, StreamError> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(items.len());
    let mut first: HashMap<&Reference, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        outcomes.push(match &item.given {
            Ok(reference) => {
                first.entry(reference).or_insert(index);
                None
            }
            Err(problem) => Some(Outcome::because(ItemResult::Unusable, problem)),
        });
    }
    let mut distinct: Vec<(usize, Reference)> = first.into_iter().map(|(reference, index)| (index, reference.clone())).collect();
    distinct.sort_unstable_by_key(|(index, _)| *index);

    let tag = match &target {
        Target::Existing(group) => Some(group),
        Target::New(_) => None,
    };
    let found = if client.tags_by_id_only() { look_up(client, &distinct, tag, on_progress).await? } else { HashMap::new() };
    let mut members: Vec<Member> = Vec::new();
    let mut places: HashMap<Reference, usize> = HashMap::new();
    for (index, reference) in distinct {
        if !answer::is_plausible(&reference) {
            outcomes[index] = Some(Outcome::because(ItemResult::NotFound, "Intercom's IDs are letters and digits"));
            continue;
        }
        let (reference, is_tagged, known) = match found.get(&reference) {
            None => (reference, None, Known::Unasked),
            Some(Answer::One { is_tagged, .. }) if matches!(reference, Reference::ConversationId(_)) => {
                (reference, *is_tagged, Known::Found)
            }
            Some(Answer::One { id, is_tagged }) => (Reference::ContactId(id.clone()), *is_tagged, Known::Found),
            Some(Answer::Nobody(outcome)) if outcome.result == ItemResult::NotFound && matches!(reference, Reference::ContactId(_)) => {
                (reference, None, Known::Missing)
            }
            Some(Answer::Nobody(outcome)) => {
                outcomes[index] = Some(outcome.clone());
                continue;
            }
        };
        let as_it_should_be = match (change, is_tagged) {
            (Change::Tag, Some(true)) => Some(ItemResult::AlreadyTagged),
            (Change::Untag, Some(false)) => Some(ItemResult::NotTagged),
            _ => None,
        };
        if let Some(result) = as_it_should_be {
            outcomes[index] = Some(Outcome { id: Some(reference.text().to_string()), ..Outcome::new(result) });
            continue;
        }
        let place = *places.entry(reference.clone()).or_insert_with(|| {
            members.push(Member { reference, items: Vec::new(), known });
            members.len() - 1
        });
        members[place].items.push(index);
    }
    Ok(Work { target, change, admin_id: admin_id.unwrap_or_default(), items, outcomes, members })
}

impl Work {
    /// The calls that would be sent, in order.
    pub fn calls(&self, client: &Client) -> Vec<TagCall> {
        let tag = match &self.target {
            Target::Existing(group) => group.clone(),
            Target::New(name) => Group { kind: GroupKind::Tag, id: String::new(), name: name.clone() },
        };
        // If a call succeeds or fails as a whole, a contact that probably does not exist would fail it for all other members. It gets its
        // own call.
        let is_spoiler = |member: &&Member| member.known == Known::Missing && !client.capabilities().tags_in_part;
        let (spoilers, others): (Vec<&Member>, Vec<&Member>) = self.members.iter().partition(is_spoiler);
        let references = |members: Vec<&Member>| members.into_iter().map(|member| member.reference.clone()).collect();
        let mut calls = client.tag_calls(&tag, self.change, references(others), TagCall::MEMBERS_MAX, &self.admin_id);
        calls.extend(client.tag_calls(&tag, self.change, references(spoilers), 1, &self.admin_id));
        calls
    }

    /// The name of the tag, if it must be created first.
    pub fn new_tag(&self) -> Option<&str> {
        match &self.target {
            Target::New(name) if self.items.is_empty() || !self.members.is_empty() => Some(name),
            Target::New(_) | Target::Existing(_) => None,
        }
    }

    /// Intercom's IDs of the contacts in the calls.
    pub fn to_change(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter_map(|member| match &member.reference {
            Reference::ContactId(id) => Some(id.as_str()),
            _ => None,
        })
    }

    /// The results of a dry run.
    pub fn planned(mut self) -> Done {
        for member in &self.members {
            let mut outcome = Outcome::new(ItemResult::NotTried);
            match (&member.reference, member.known) {
                (Reference::ContactId(id) | Reference::ConversationId(id), Known::Found) => outcome.id = Some(id.clone()),
                (_, Known::Missing) => outcome.reason = Some("no search finds this ID; the call will show it".to_string()),
                _ => outcome.reason = Some("not looked up; the call will show it".to_string()),
            }
            for item in &member.items {
                self.outcomes[*item] = Some(outcome.clone());
            }
        }
        self.done(false, None)
    }

    fn done(self, is_new: bool, stopped: Option<Stopped>) -> Done {
        let tag = match &self.target {
            Target::Existing(group) => Some(group.clone()),
            Target::New(_) => None,
        };
        Done { tag, is_new, outcomes: settled(&self.items, self.outcomes), items: self.items, stopped }
    }

    /// Creates the tag if it is missing, and sends the calls, until an interrupt.
    ///
    /// # Errors
    /// If the tag could not be created: nothing was tagged.
    pub async fn carry_out(
        mut self,
        client: &Client,
        on_progress: OnProgress<'_>,
        interruption: impl Future<Output = ()>,
    ) -> Result<Done, RequestError> {
        let mut interruption = std::pin::pin!(interruption);
        let is_new = self.new_tag().is_some();
        if let Some(name) = self.new_tag() {
            tokio::select! {
                made = client.create_tag(name) => self.target = Target::Existing(made?),
                () = &mut interruption => return Ok(self.done(false, Some(Stopped::Interrupted))),
            }
        }
        let items_of: HashMap<Reference, Vec<usize>> =
            self.members.iter().map(|member| (member.reference.clone(), member.items.clone())).collect();
        // Each call has a result for its members, in case it is not sent. It is `Unknown` for the halves of a call that succeeded for
        // some members, because these may be done.
        let mut waiting: Vec<(TagCall, ItemResult)> =
            self.calls(client).into_iter().map(|call| (call, ItemResult::NotTried)).rev().collect();
        let mut under_way = FuturesUnordered::new();
        let mut stopped: Option<Stopped> = None;
        let (mut done, all) = (0, self.members.len());
        let outcomes = &mut self.outcomes;
        let mut note = |member: &Reference, outcome: &Outcome| {
            for item in items_of.get(member).into_iter().flatten() {
                outcomes[*item] = Some(outcome.clone());
            }
        };
        loop {
            while stopped.is_none() && under_way.len() < CALLS {
                let Some((call, _)) = waiting.pop() else { break };
                // The result is `Unknown` until an answer comes. It stays so if no answer comes.
                call.members().iter().for_each(|member| note(member, &answer::unanswered(member)));
                under_way.push(async move {
                    let sent = send(client, &call).await;
                    (call, sent)
                });
            }
            let (call, sent) = tokio::select! {
                next = under_way.next() => match next {
                    Some(next) => next,
                    None => break,
                },
                () = &mut interruption => {
                    stopped = Some(Stopped::Interrupted);
                    break;
                }
            };
            match sent {
                Sent::Settled(outcomes) => {
                    done += outcomes.len();
                    outcomes.iter().for_each(|(member, outcome)| note(member, outcome));
                    on_progress("done", done, all);
                }
                Sent::Split(meanwhile) => {
                    let (left, right) = call.halves();
                    waiting.extend([(right, meanwhile), (left, meanwhile)]);
                }
                Sent::OtherTag(id) => {
                    let reason = format!("the API used another tag, id:{id}");
                    call.members().iter().for_each(|member| note(member, &Outcome::because(ItemResult::Failed, &reason)));
                    stopped.get_or_insert(Stopped::OtherTag(id));
                }
                Sent::Stop(error) => {
                    if error.is_unauthorized() {
                        let outcome = Outcome::because(ItemResult::Failed, answer::reason(&error));
                        call.members().iter().for_each(|member| note(member, &outcome));
                    }
                    stopped.get_or_insert(Stopped::Failed(error));
                }
            }
        }
        drop(under_way);
        for (call, meanwhile) in &waiting {
            for member in call.members() {
                let outcome = if *meanwhile == ItemResult::Unknown { answer::unanswered(member) } else { Outcome::new(*meanwhile) };
                note(member, &outcome);
            }
        }
        Ok(self.done(is_new, stopped))
    }
}

/// How a call ended.
enum Sent {
    Settled(Vec<(Reference, Outcome)>),
    /// The call failed for all members, or for some members that the API did not name. Has the result of all members until they are sent
    /// again.
    Split(ItemResult),
    OtherTag(String),
    /// Further calls would fail, too.
    Stop(RequestError),
}

async fn send(client: &Client, call: &TagCall) -> Sent {
    let settled = |outcome: &dyn Fn(&Reference) -> Outcome| {
        Sent::Settled(call.members().iter().map(|member| (member.clone(), outcome(member))).collect())
    };
    match client.send_tags(call).await {
        Ok(TagAnswer::Done) => settled(&|member| answer::changed(member, call.change())),
        Ok(TagAnswer::InPart { absent, unchanged }) => settled(&|member| {
            if absent.contains(member) {
                answer::not_found(member)
            } else if unchanged.contains(member) {
                Outcome::because(ItemResult::Failed, "the API accepted the call but changed nothing")
            } else {
                answer::changed(member, call.change())
            }
        }),
        Ok(TagAnswer::InUnknownPart) => Sent::Split(ItemResult::Unknown),
        Ok(TagAnswer::OtherTag(id)) => Sent::OtherTag(id),
        Err(error) if !error.is_refused() => Sent::Stop(error),
        Err(error) => match call.members() {
            [member] => match answer::refused(client, call, member, &error).await {
                Ok(outcome) => Sent::Settled(vec![(member.clone(), outcome)]),
                Err(error) => Sent::Stop(error),
            },
            _ => Sent::Split(ItemResult::NotTried),
        },
    }
}

/// A result for every item. A repeated item gets the result of the first one. An item without a result was not tried.
fn settled(items: &[Item], mut outcomes: Vec<Option<Outcome>>) -> Vec<Outcome> {
    let mut first: HashMap<&Reference, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let Ok(reference) = &item.given else { continue };
        let earlier = *first.entry(reference).or_insert(index);
        if earlier != index {
            let same = items[earlier].row.map_or("given before".to_string(), |row| format!("same as row {row}"));
            let outcome = outcomes[earlier].clone().unwrap_or(Outcome::new(ItemResult::NotTried));
            outcomes[index] = Some(Outcome { reason: Some(same), ..outcome });
        }
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::new(ItemResult::NotTried))).collect()
}
