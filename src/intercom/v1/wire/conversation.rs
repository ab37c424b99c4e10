use serde::Deserialize;

use crate::wire::lenient::{Flag, Listed, Nested, Stamp, Text, owned};
use crate::wire::{author_id, checked_id, opener, participants};
use domain::{Conversation, Oddities};

#[derive(Deserialize)]
pub(super) struct WireConversation {
    id: Option<Text>,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
    state: Option<Text>,
    #[serde(default)]
    open: Flag,
    #[serde(default)]
    conversation_message: Nested<Message>,
    #[serde(default)]
    user: Nested<Reference>,
    #[serde(default)]
    customers: Listed<Reference>,
}

#[derive(Deserialize)]
struct Message {
    delivered_as: Option<Text>,
    #[serde(default)]
    author: Nested<Author>,
}

#[derive(Deserialize)]
struct Author {
    #[serde(rename = "type")]
    kind: Option<Text>,
    id: Option<Text>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<Text>,
}

impl WireConversation {
    /// # Errors
    /// The name of the missing or invalid field. The conversation cannot be counted without this field.
    pub(super) fn into_conversation(self, oddities: &mut Oddities) -> Result<Conversation, &'static str> {
        let id = checked_id(self.id).ok_or("id")?.into_string();
        let created_at = self.created_at.instant(oddities).ok_or("created_at")?;
        let (delivered_as, author) = match self.conversation_message.0 {
            Some(message) => (owned(message.delivered_as), message.author.0),
            None => (None, None),
        };
        let (author_type, author_id) = match author {
            // 1.x may say `contact` where 2.x says `lead`, so `word` converts it.
            Some(author) => {
                let author_type = owned(author.kind).map(word);
                let id = author_id(author_type.as_deref(), author.id)?;
                (author_type, id)
            }
            None => (None, None),
        };
        let customers = self.customers.0.filter(|customers| !customers.is_empty());
        let persons = customers.unwrap_or_else(|| self.user.0.into_iter().collect());
        let contact_ids = participants(persons.into_iter().map(|person| person.id))?;
        let opener = opener(author_type.as_deref(), author_id, &contact_ids, oddities);
        // Early versions have only `open`, which is also true for snoozed conversations.
        let open = || self.open.0.map(|open| if open { "open" } else { "closed" }.to_string());
        let state = owned(self.state).or_else(open);
        let updated_at = self.updated_at.instant(oddities);
        Ok(Conversation { id, created_at, updated_at, opener, contact_ids, author_type, source_type: None, delivered_as, state })
    }
}

fn word(kind: String) -> String {
    if kind == "contact" { "lead".to_string() } else { kind }
}
