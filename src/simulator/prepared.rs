//! A cache of responses, compressed as they are sent, so that a repeated request costs almost nothing.
//!
//! Each view has its own cache. A write or a step of the clock makes a new view with an empty cache, so a response is never out of date.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::request_log::ReadRequest;

/// The size limit of a cache in bytes. Beyond it, no response is added.
const MAX_SIZE: usize = 2 << 30;

/// The content of a response.
pub(crate) struct Content {
    pub bytes: Bytes,
    /// Whether the bytes are compressed already.
    pub gzipped: bool,
    /// Whether the content is a page of a list.
    pub is_page: bool,
}

impl Content {
    /// The body that a dialect returns.
    pub(crate) fn fresh(body: impl Into<Bytes>) -> Self {
        let bytes = body.into();
        // Only a page of a list has this text. In a JSON string the quotation marks would be escaped, and a scroll has no `pages` object.
        // The search begins at the end, because in the 2.x lists of contacts `pages` comes after the entries.
        let is_page = memchr::memmem::rfind(&bytes, b"\"pages\":{").is_some();
        Self { bytes, gzipped: false, is_page }
    }
}

/// The cached responses of one view.
#[derive(Default)]
pub(crate) struct Prepared(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    answers: HashMap<Arc<ReadRequest>, Answer>,
    size: usize,
}

#[derive(Clone)]
struct Answer {
    gzipped: Bytes,
    is_page: bool,
}

impl Prepared {
    /// The cached response to a request. It is not compressed if the client does not accept gzip. `None` if the response is not cached.
    pub(crate) fn find(&self, request: &ReadRequest, takes_gzip: bool) -> Option<Content> {
        // The map is valid after a panic: each change to it is a single call.
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(request).cloned()?;
        let Answer { gzipped, is_page } = answer;
        if takes_gzip {
            return Some(Content { bytes: gzipped, gzipped: true, is_page });
        }
        let mut plain = Vec::new();
        if let Err(error) = GzDecoder::new(gzipped.as_ref()).read_to_end(&mut plain) {
            tracing::error!(%error, "a cached response cannot be decompressed");
            return None;
        }
        Some(Content { bytes: plain.into(), gzipped: false, is_page })
    }

    /// Caches a response, if there is space, and returns it in the form to be sent.
    pub(crate) fn keep(&self, request: Arc<ReadRequest>, content: Content, takes_gzip: bool) -> Content {
        self.keep_within(MAX_SIZE, request, content, takes_gzip)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.len()
    }

    fn keep_within(&self, max_size: usize, request: Arc<ReadRequest>, content: Content, takes_gzip: bool) -> Content {
        let has_space = |cache: &Cache, size: usize| cache.size.saturating_add(size) <= max_size;
        if !has_space(&self.0.lock().unwrap_or_else(PoisonError::into_inner), request.size()) {
            return content;
        }
        let gzipped = match gzip(&content.bytes) {
            Ok(gzipped) => gzipped,
            Err(error) => {
                tracing::error!(%error, "a response cannot be compressed");
                return content;
            }
        };
        let is_page = content.is_page;
        let size = request.size() + gzipped.len();
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_space(&cache, size) && cache.answers.insert(request, Answer { gzipped: gzipped.clone(), is_page }).is_none() {
            cache.size += size;
        }
        drop(cache);
        if takes_gzip { Content { bytes: gzipped, gzipped: true, is_page } } else { content }
    }
}

/// Compresses with the same level as the layer that compresses other responses.
fn gzip(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::default());
    encoder.write_all(plain)?;
    let mut gzipped = encoder.finish()?;
    gzipped.shrink_to_fit();
    Ok(gzipped.into())
}

/// Whether a client accepts gzip. If this is not certain, the answer is no. Then the compression layer decides whether to compress.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Method};

    use super::*;
    use crate::tests::call;

    fn request(path: &str) -> Arc<ReadRequest> {
        Arc::new(ReadRequest::new(&call(Method::GET, path, &[], "", "2.11"), &path.parse().unwrap()))
    }

    #[test]
    fn responses_beyond_the_size_limit_are_not_cached() {
        let (prepared, body) = (Prepared::default(), || Content::fresh("long ".repeat(10)));
        let size = request("/one").size() + gzip(&body().bytes).unwrap().len();
        for path in ["/one", "/one", "/two"] {
            let sent = prepared.keep_within(size, request(path), body(), false);
            assert_eq!((sent.bytes, sent.gzipped), (body().bytes, false));
        }
        let kept = |path| prepared.find(&request(path), false).map(|content| content.bytes);
        assert_eq!((kept("/one"), kept("/two")), (Some(body().bytes), None));
        assert_eq!(prepared.0.lock().unwrap().size, size, "the same response is cached once");
    }

    #[test]
    fn gzip_is_sent_only_if_accepted() {
        let takes = |value: &'static str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]));
        assert!(takes("gzip") && takes("deflate, GZIP") && takes("br;q=1.0, gzip"));
        assert!(!takes("") && !takes("identity") && !takes("gzip;q=0") && !takes("*") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn pages_are_distinguished_from_other_responses() {
        for (body, is_page) in [
            (r#"{"type":"list","data":[],"pages":{"type":"pages"}}"#, true),
            (r#"{"pages":null,"scroll_param":"x"}"#, false),
            (r#"{"name":"\"pages\":{"}"#, false),
        ] {
            assert_eq!(Content::fresh(body.to_owned()).is_page, is_page, "{body}");
        }
    }
}
