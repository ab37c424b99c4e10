//! People by their address.

use super::{V1, wire};
use crate::error::StreamError;
use crate::transport::Ask;
use domain::{Holder, Reference};

impl V1 {
    /// Asked for addresses only, and only to explain why a call failed: calls of 1.x take references as they are.
    pub(crate) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<Holder>, StreamError> {
        let mut found = Vec::new();
        for reference in references {
            let Reference::Email(email) = reference else { continue };
            for path in ["/users", "/contacts"] {
                let ask = Ask::get(path).with("email", email.as_str());
                let tag = tag.map(str::to_string);
                match self.transport.send(&ask, move |body| wire::holders(body, tag.as_deref())).await {
                    Ok(holders) => found.extend(holders),
                    // 1.0 answers for one address with one user, and with an error for none and for several.
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }
}
