use compact_str::CompactString;

/// What a contact chose for a type of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    OptedOut,
    OptedIn,
}

impl Choice {
    pub fn as_str(self) -> &'static str {
        match self {
            Choice::OptedOut => "opted_out",
            Choice::OptedIn => "opted_in",
        }
    }
}

/// An explicit choice of a contact. If a contact has made no choice for a type, the consent type decides: `opt_out` means consent, `opt_in`
/// means no consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The ID of the type of subscription.
    pub id: CompactString,
    pub choice: Choice,
}

/// The explicit choices in a contact's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSubscriptions {
    /// At most one for each type.
    pub choices: Vec<Subscription>,
    /// Whether these are all choices of the contact. The record lists at most ten opt-outs and ten opt-ins.
    pub is_complete: bool,
}

/// A type of subscription of the workspace, such as a newsletter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionType {
    pub id: String,
    /// The name in the workspace's own language.
    pub name: Option<String>,
    /// `opt_out` or `opt_in`.
    pub consent_type: Option<String>,
    /// `live`, `draft` or `archived`.
    pub state: Option<String>,
}

/// What became of a contact that no stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The contact exists.
    Present,
    Deleted,
    /// The contact was merged into the contact with this ID.
    Merged(String),
}
