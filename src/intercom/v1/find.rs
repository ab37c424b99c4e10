//! Looks up contacts by e-mail address.

use super::{V1, wire};
use crate::error::StreamError;
use crate::transport::Request;
use domain::{FoundContact, Reference};

impl V1 {
    /// Looks up e-mail addresses; other references are skipped. Tag calls of 1.x accept every kind of reference, so no look-up is needed
    /// before a call. The look-up explains afterwards why a call failed.
    pub(crate) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<FoundContact>, StreamError> {
        let mut found = Vec::new();
        for reference in references {
            let Reference::Email(email) = reference else { continue };
            for path in ["/users", "/contacts"] {
                let request = Request::get(path).with("email", email.as_str());
                let tag = tag.map(str::to_string);
                match self.transport.send(&request, move |body| wire::found_contacts(body, tag.as_deref())).await {
                    Ok(holders) => found.extend(holders),
                    // 1.0 returns a single user for an e-mail address, and an error if no user or several users have it.
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }
}
