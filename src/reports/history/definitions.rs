//! The part of the job file on which histories and reports depend.

use sha2::{Digest, Sha256};

use crate::rules::Rule;

#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// The job's rules. Their names are unique.
    pub rules: Vec<Rule>,
    /// The attributes that describe members.
    pub profile: Vec<ProfileEntry>,
    /// The thresholds of `conversation_activity`, in numbers of conversations.
    pub opened_at_least: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileEntry {
    /// The attribute's name in the job.
    pub attribute: String,
    /// The name of a custom attribute; `None` for a column of contacts.
    pub custom_name: Option<String>,
}

impl Definitions {
    /// SHA-256 of all definitions. A history that was built with another fingerprint is out of date.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            // The length comes before each text, so that different lists of texts never hash the same bytes.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        for rule in &self.rules {
            part("rule");
            part(&rule.name);
            part(rule.condition.sql());
            rule.condition.references().iter().for_each(|reference| part(&format!("{reference:?}")));
        }
        for entry in &self.profile {
            part("profile");
            part(&entry.attribute);
        }
        for least in &self.opened_at_least {
            part("opened_at_least");
            part(&least.to_string());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
