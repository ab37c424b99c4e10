use serde::Deserialize;

use crate::wire::lenient::{Listed, Nested, Stamp, Text, owned};
use crate::wire::tag_list::TagList;
use crate::wire::{DecodeError, author_id, checked_id, decode, opener, participants, shape};
use domain::{Conversation, Oddities, OwnTags};

#[derive(Deserialize)]
pub(super) struct WireConversation {
    id: Option<Text>,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
    state: Option<Text>,
    #[serde(default)]
    source: Nested<Source>,
    #[serde(default)]
    contacts: Nested<Contacts>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: Option<Text>,
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
struct Contacts {
    #[serde(default)]
    contacts: Listed<ContactReference>,
}

#[derive(Deserialize)]
struct ContactReference {
    id: Option<Text>,
}

impl WireConversation {
    /// # Errors
    /// The name of the missing or invalid field. The conversation cannot be counted without this field.
    pub(super) fn into_conversation(self, oddities: &mut Oddities) -> Result<Conversation, &'static str> {
        let id = checked_id(self.id).ok_or("id")?.into_string();
        let created_at = self.created_at.instant(oddities).ok_or("created_at")?;
        let updated_at = self.updated_at.instant(oddities);
        let (source_type, delivered_as, author) = match self.source.0 {
            Some(source) => (owned(source.kind), owned(source.delivered_as), source.author.0),
            None => (None, None, None),
        };
        let (author_type, author_id) = match author {
            Some(author) => {
                let author_type = owned(author.kind);
                let id = author_id(author_type.as_deref(), author.id)?;
                (author_type, id)
            }
            None => (None, None),
        };
        let listed = self.contacts.0.and_then(|list| list.contacts.0).unwrap_or_default();
        let contact_ids = participants(listed.into_iter().map(|contact| contact.id))?;
        let opener = opener(author_type.as_deref(), author_id, &contact_ids, oddities);
        Ok(Conversation {
            id,
            created_at,
            updated_at,
            opener,
            contact_ids,
            author_type,
            source_type,
            delivered_as,
            state: owned(self.state),
        })
    }
}

/// The tags of a single conversation. If the record has no list, the result is an empty list that is not complete.
pub(crate) fn conversation_tags(body: &[u8]) -> Result<OwnTags, DecodeError> {
    #[derive(Deserialize)]
    struct Tagged {
        id: Option<Text>,
        #[serde(default)]
        tags: Nested<TagList>,
    }
    let tagged: Tagged = decode(body)?;
    checked_id(tagged.id).ok_or_else(|| shape("id"))?;
    Ok(tagged.tags.0.and_then(TagList::own).unwrap_or_default())
}
