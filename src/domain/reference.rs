/// A reference to a contact, a company or a conversation, as a person or a file gives it.
///
/// A reference may be an e-mail address, so it must not be logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// Intercom's id of a contact, user or lead.
    ContactId(String),
    /// The workspace's own id of a user: `external_id`, in 1.x `user_id`.
    ExternalId(String),
    /// The e-mail address of a user.
    Email(String),
    /// The workspace's own id of a company.
    CompanyId(String),
    /// Intercom's id of a conversation.
    ConversationId(String),
}

impl Reference {
    pub fn text(&self) -> &str {
        match self {
            Reference::ContactId(text)
            | Reference::ExternalId(text)
            | Reference::Email(text)
            | Reference::CompanyId(text)
            | Reference::ConversationId(text) => text,
        }
    }

    /// The name of the kind of reference. For contacts and companies, it is also the key in requests to the API.
    pub fn by(&self) -> &'static str {
        match self {
            Reference::ContactId(_) => "id",
            Reference::ExternalId(_) => "user_id",
            Reference::Email(_) => "email",
            Reference::CompanyId(_) => "company_id",
            Reference::ConversationId(_) => "conversation_id",
        }
    }
}

/// Creates a reference of one kind.
pub type MakeReference = fn(String) -> Reference;

/// Shows the kind but not the text, which may be an e-mail address.
impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple(self.by()).finish_non_exhaustive()
    }
}

/// A contact that was found by a reference.
#[derive(Clone, Debug)]
pub struct FoundContact {
    pub id: String,
    pub role: super::Role,
    pub external_id: Option<String>,
    pub email: Option<String>,
    /// Whether the contact has the tag that was asked for. `None` if this is unknown, or if no tag was asked for.
    pub is_tagged: Option<bool>,
}
