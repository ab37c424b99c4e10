use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::Next;
use crate::intercom::wire::lenient::Text;

/// `pages.next`: absent or null at the end, an object with the cursor, or (elsewhere in the API) an address.
#[derive(Debug)]
pub(super) struct NextPage(pub Next);

impl Default for NextPage {
    fn default() -> NextPage {
        NextPage(Next::End)
    }
}

impl<'de> Deserialize<'de> for NextPage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NextPage, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = NextPage;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null or an object with `starting_after`")
            }
            fn visit_unit<E: Error>(self) -> Result<NextPage, E> {
                Ok(NextPage(Next::End))
            }
            fn visit_str<E: Error>(self, address: &str) -> Result<NextPage, E> {
                Ok(NextPage(if address.is_empty() { Next::End } else { Next::Elsewhere }))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<NextPage, A::Error> {
                let mut next = Next::End;
                while let Some(key) = object.next_key::<String>()? {
                    match key.as_str() {
                        "starting_after" => {
                            if let Some(cursor) = object.next_value::<Text>()?.0.filter(|cursor| !cursor.is_empty()) {
                                next = Next::After(cursor.into());
                            }
                        }
                        _ => drop(object.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(NextPage(next))
            }
        }
        deserializer.deserialize_any(Form)
    }
}
