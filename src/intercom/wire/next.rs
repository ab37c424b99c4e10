//! The next page of a list.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::lenient::{Text, Whole, some};

/// `pages.next` as sent: absent or null at the end, an object with the cursor, or (in other lists of the API) a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Next {
    #[default]
    End,
    After(String),
    /// A URL. It is never followed: it may lead to another host, which would get the token.
    Address(String),
}

/// The `pages` of a list that is documented as unpaged.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListPages {
    #[serde(default)]
    next: Next,
    #[serde(default)]
    page: Whole,
    #[serde(default)]
    total_pages: Whole,
}

/// How to request the next page of a list that is documented as unpaged: the name of a parameter, and its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListNext {
    End,
    With(&'static str, String),
    /// There is a next page, but the response does not say how to request it.
    Unknown,
}

impl ListPages {
    /// How to request the page after the page with this number.
    pub(crate) fn after(&self, page: u32) -> ListNext {
        match &self.next {
            Next::After(cursor) => ListNext::With("starting_after", cursor.clone()),
            Next::Address(address) => in_address(address).unwrap_or(ListNext::Unknown),
            // The server sent an earlier page than the requested one, so it ignored the parameter.
            Next::End if self.page.0.is_some_and(|at| at < u64::from(page)) => ListNext::Unknown,
            // Some lists have page numbers, but no `next`.
            Next::End if self.total_pages.0.is_some_and(|last| last > u64::from(page)) => ListNext::With("page", (page + 1).to_string()),
            Next::End => ListNext::End,
        }
    }
}

/// The paging parameter in a URL. `None` if the URL has no such parameter.
fn in_address(address: &str) -> Option<ListNext> {
    let url = reqwest::Url::parse(address).or_else(|_| reqwest::Url::parse("http://relative")?.join(address)).ok()?;
    let value = |wanted: &str| {
        url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    let cursor = value("starting_after").map(|cursor| ListNext::With("starting_after", cursor));
    cursor.or_else(|| value("page").map(|page| ListNext::With("page", page)))
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Next, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Next;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null or an object with `starting_after`")
            }
            fn visit_unit<E: Error>(self) -> Result<Next, E> {
                Ok(Next::End)
            }
            fn visit_str<E: Error>(self, address: &str) -> Result<Next, E> {
                Ok(if address.is_empty() { Next::End } else { Next::Address(address.to_string()) })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Next, A::Error> {
                let mut next = Next::End;
                while let Some(key) = object.next_key::<String>()? {
                    match key.as_str() {
                        "starting_after" => {
                            if let Some(cursor) = some(Some(object.next_value::<Text>()?)).filter(|cursor| !cursor.is_empty()) {
                                next = Next::After(cursor.into());
                            }
                        }
                        _ => drop(object.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(next)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pages: &str) -> ListNext {
        serde_json::from_str::<ListPages>(pages).unwrap().after(1)
    }

    #[test]
    fn how_to_request_the_next_page_of_a_list() {
        let with = |name, value: &str| ListNext::With(name, value.to_string());
        assert_eq!(after("{}"), ListNext::End);
        assert_eq!(after(r#"{"page":1,"total_pages":1,"next":null}"#), ListNext::End);
        assert_eq!(after(r#"{"next":{"page":2,"starting_after":"abc"}}"#), with("starting_after", "abc"));
        assert_eq!(after(r#"{"next":"https://elsewhere.example/segments?page=2&per_page=2"}"#), with("page", "2"));
        assert_eq!(after(r#"{"next":"/segments?starting_after=a%2Bb"}"#), with("starting_after", "a+b"));
        assert_eq!(after(r#"{"next":"https://elsewhere.example/segments"}"#), ListNext::Unknown);
        assert_eq!(after(r#"{"page":1,"total_pages":2}"#), with("page", "2"));
        assert_eq!(after(r#"{"total_pages":"2"}"#), with("page", "2"));
        let second = serde_json::from_str::<ListPages>(r#"{"page":1,"total_pages":2}"#).unwrap().after(2);
        assert_eq!(second, ListNext::Unknown, "the server returned the first page again");
    }
}
