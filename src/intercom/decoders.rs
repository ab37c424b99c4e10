//! The decoders of responses with many rows, for the fuzzer and its regression tests.

use super::{v1, v2, wire};

/// Decodes a body. Returns the number of rows, or an error message.
pub type Decoder = fn(&[u8]) -> Result<usize, String>;

/// Decodes a page of contacts of 2.x with any JSON parser, into the same structs as the decoder `v2-contacts`. Returns the number of rows.
/// Benchmarks use it to compare the program with the fastest parser.
pub fn contact_rows_of<'de, D: serde::Deserializer<'de>>(json: D) -> Result<usize, D::Error> {
    v2::contact_rows_of(json)
}

/// The decoders by name.
pub const DECODERS: &[(&str, Decoder)] = &[
    ("v2-contacts", |body| v2::contact_rows(body).map_err(|error| error.to_string())),
    ("v2-conversations", |body| v2::conversation_rows(body).map_err(|error| error.to_string())),
    ("v1-people", |body| v1::person_rows(body).map_err(|error| error.to_string())),
    ("v1-scroll", |body| v1::scroll_rows(body).map_err(|error| error.to_string())),
    ("v1-conversations", |body| v1::conversation_rows(body).map_err(|error| error.to_string())),
    ("tags", |body| wire::tags(body).map(|tags| tags.rows.len()).map_err(|error| error.to_string())),
    ("segments", |body| wire::segments(body).map(|segments| segments.rows.len()).map_err(|error| error.to_string())),
    ("companies", |body| wire::companies(body).map(|page| page.rows.len()).map_err(|error| error.to_string())),
    ("subscription-types", |body| {
        wire::subscriptions::subscription_types(body).map(|page| page.rows.len()).map_err(|error| error.to_string())
    }),
    ("subscriptions", |body| wire::subscriptions::subscriptions(body).map(|page| page.rows.len()).map_err(|error| error.to_string())),
    ("tag-dates", |body| wire::tag_dates(body).map(|dates| dates.rows.len()).map_err(|error| error.to_string())),
];
