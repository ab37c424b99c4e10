//! Answers that are kept, compressed as they are sent, so that giving one a second time costs next to nothing.
//!
//! They belong to a moment. A write, or a step of the clock, makes another moment, which has none: so no answer can outlive what it tells.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::request_log::Question;

/// Once the kept answers of a moment hold so many bytes, no more are added.
const ROOM: usize = 2 << 30;

/// What is said in answer to a call.
pub(crate) struct Content {
    pub bytes: Bytes,
    /// Whether the bytes are compressed already.
    pub gzipped: bool,
    /// Whether it is a page of a list.
    pub is_page: bool,
}

impl Content {
    /// A body as a dialect writes it.
    pub(crate) fn fresh(body: impl Into<Bytes>) -> Self {
        let bytes = body.into();
        // In a text the quotation marks would be escaped. Scrolls have no `pages`, or null. Longer lists have them behind the entries.
        let is_page = memchr::memmem::rfind(&bytes, b"\"pages\":{").is_some();
        Self { bytes, gzipped: false, is_page }
    }
}

/// The answers kept for one moment.
#[derive(Default)]
pub(crate) struct Prepared(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    answers: HashMap<Arc<Question>, Answer>,
    size: usize,
}

#[derive(Clone)]
struct Answer {
    gzipped: Bytes,
    is_page: bool,
}

impl Prepared {
    /// The kept answer to a question; plain for a client that does not take gzip.
    pub(crate) fn find(&self, question: &Question, takes_gzip: bool) -> Option<Content> {
        // The map is whole at every panic: each change to it is a single call.
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(question).cloned()?;
        let Answer { gzipped, is_page } = answer;
        if takes_gzip {
            return Some(Content { bytes: gzipped, gzipped: true, is_page });
        }
        let mut plain = Vec::new();
        if let Err(error) = GzDecoder::new(gzipped.as_ref()).read_to_end(&mut plain) {
            tracing::error!(%error, "a kept answer cannot be read");
            return None;
        }
        Some(Content { bytes: plain.into(), gzipped: false, is_page })
    }

    /// Keeps an answer, if there is room, and gives it as it is to be sent.
    pub(crate) fn keep(&self, question: Arc<Question>, content: Content, takes_gzip: bool) -> Content {
        self.keep_within(ROOM, question, content, takes_gzip)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.len()
    }

    fn keep_within(&self, room: usize, question: Arc<Question>, content: Content, takes_gzip: bool) -> Content {
        let has_room = |kept: &Kept, size: usize| kept.size.saturating_add(size) <= room;
        if !has_room(&self.0.lock().unwrap_or_else(PoisonError::into_inner), question.size()) {
            return content;
        }
        let gzipped = match gzip(&content.bytes) {
            Ok(gzipped) => gzipped,
            Err(error) => {
                tracing::error!(%error, "an answer cannot be compressed");
                return content;
            }
        };
        let is_page = content.is_page;
        let size = question.size() + gzipped.len();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_room(&kept, size) && kept.answers.insert(question, Answer { gzipped: gzipped.clone(), is_page }).is_none() {
            kept.size += size;
        }
        drop(kept);
        if takes_gzip { Content { bytes: gzipped, gzipped: true, is_page } } else { content }
    }
}

/// As small as the layer makes it that compresses what is not kept.
fn gzip(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::default());
    encoder.write_all(plain)?;
    let mut gzipped = encoder.finish()?;
    gzipped.shrink_to_fit();
    Ok(gzipped.into())
}

/// Whether a client says that it takes gzip. In doubt it does not: then the answer goes out plain, or compressed by the layer.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Method};

    use super::*;
    use crate::tests::call;

    fn question(path: &str) -> Arc<Question> {
        Arc::new(Question::new(&call(Method::GET, path, &[], "", "2.11"), &path.parse().unwrap()))
    }

    #[test]
    fn what_has_no_room_is_not_kept() {
        let (prepared, body) = (Prepared::default(), || Content::fresh("long ".repeat(10)));
        let size = question("/one").size() + gzip(&body().bytes).unwrap().len();
        for path in ["/one", "/one", "/two"] {
            let said = prepared.keep_within(size, question(path), body(), false);
            assert_eq!((said.bytes, said.gzipped), (body().bytes, false));
        }
        let kept = |path| prepared.find(&question(path), false).map(|content| content.bytes);
        assert_eq!((kept("/one"), kept("/two")), (Some(body().bytes), None));
        assert_eq!(prepared.0.lock().unwrap().size, size, "twice the same is kept once");
    }

    #[test]
    fn gzip_goes_to_those_who_ask_for_it() {
        let takes = |value: &'static str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]));
        assert!(takes("gzip") && takes("deflate, GZIP") && takes("br;q=1.0, gzip"));
        assert!(!takes("") && !takes("identity") && !takes("gzip;q=0") && !takes("*") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn pages_are_told_from_other_answers() {
        for (body, is_page) in [
            (r#"{"type":"list","data":[],"pages":{"type":"pages"}}"#, true),
            (r#"{"pages":null,"scroll_param":"x"}"#, false),
            (r#"{"name":"\"pages\":{"}"#, false),
        ] {
            assert_eq!(Content::fresh(body.to_owned()).is_page, is_page, "{body}");
        }
    }
}
