//! Response bodies. A body is read from the network, then inflated and decoded. Large bodies are decoded on blocking threads, so that
//! decoding does not delay network I/O. At most one large body per core is decoded at a time.

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use tokio::sync::Semaphore;

use super::error::NoAnswer;

/// The largest body, in bytes. A page of 150 contacts is about half a megabyte, and no page is larger than this.
const BODY_MAX: usize = 64 << 20;
/// Bodies of up to this many bytes are decoded on the calling thread. This is faster than handing them to another thread.
const SMALL: usize = 16 << 10;
/// The limit for gzip bodies. It is lower, because a gzip body becomes ten or more times as large when it is inflated.
const SMALL_GZIP: usize = 1 << 10;
/// The smallest step by which a buffer grows, in bytes.
const ROOM: usize = 64 << 10;
/// The highest compression ratio that deflate can reach.
const RATIO_MAX: usize = 1032;

/// A response body as received, possibly compressed.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    is_gzip: bool,
}

impl Body {
    pub(super) async fn read(mut response: reqwest::Response) -> Result<Body, NoAnswer> {
        let is_gzip = is_gzip(response.headers());
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > BODY_MAX => return Err(NoAnswer::TooLarge),
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(Body { bytes, is_gzip }),
                Err(error) if error.is_timeout() => return Err(NoAnswer::Timeout),
                Err(_) => return Err(NoAnswer::Cut),
            }
        }
    }

    pub(super) fn empty() -> Body {
        Body { bytes: Vec::new(), is_gzip: false }
    }

    /// The number of bytes received.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn is_small(&self) -> bool {
        self.bytes.len() <= if self.is_gzip { SMALL_GZIP } else { SMALL }
    }

    fn decoded<T>(self, decode: impl FnOnce(&[u8]) -> T) -> Result<T, NoAnswer> {
        Ok(if self.is_gzip { decode(&inflated(&self.bytes)?) } else { decode(&self.bytes) })
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes().trim_ascii());
    named.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip"))
}

/// Inflates all members of a gzip stream. A stream that ends early or has a wrong checksum counts as a truncated response.
fn inflated(gzip: &[u8]) -> Result<Vec<u8>, NoAnswer> {
    let mut plain = Vec::with_capacity(announced(gzip));
    let mut rest = gzip;
    while !rest.is_empty() {
        let mut member = Decompress::new_gzip(15);
        loop {
            let (taken, given) = (member.total_in(), plain.len());
            let input = rest.get(usize::try_from(taken).unwrap_or(usize::MAX)..).unwrap_or_default();
            let status = member.decompress_vec(input, &mut plain, FlushDecompress::None).map_err(|_| NoAnswer::Cut)?;
            if plain.len() > BODY_MAX {
                return Err(NoAnswer::TooLarge);
            }
            if status == Status::StreamEnd {
                break;
            }
            if plain.len() == plain.capacity() {
                // One byte more than the limit is enough to detect a decompression bomb.
                plain.reserve_exact(plain.len().max(ROOM).min(BODY_MAX + 1 - plain.len()));
            } else if member.total_in() == taken && plain.len() == given {
                return Err(NoAnswer::Cut);
            }
        }
        rest = rest.get(usize::try_from(member.total_in()).unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    Ok(plain)
}

/// The size of the buffer for a gzip stream. The last member of the stream declares its size. This size is capped at what is possible. One
/// byte is added, so that the end of the stream is detected before the buffer is full.
fn announced(gzip: &[u8]) -> usize {
    let size = gzip.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    size.min(gzip.len().saturating_mul(RATIO_MAX)).min(BODY_MAX) + 1
}

/// Decodes bodies. The number of large bodies that are decoded at a time is limited.
#[derive(Clone, Debug)]
pub(super) struct Decoding {
    cores: Arc<Semaphore>,
}

impl Decoding {
    pub(super) fn new() -> Decoding {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Decoding { cores: Arc::new(Semaphore::new(cores)) }
    }

    /// Inflates and decodes a body on one thread.
    ///
    /// # Errors
    /// When the body cannot be inflated or is larger than any page.
    pub(super) async fn run<T: Send + 'static>(&self, body: Body, decode: impl FnOnce(&[u8]) -> T + Send + 'static) -> Result<T, NoAnswer> {
        if body.is_small() {
            return body.decoded(decode);
        }
        // The semaphore is never closed, so there is always a permit.
        let core = self.cores.clone().acquire_owned().await.ok();
        let work = tokio::task::spawn_blocking(move || {
            // The permit is released when the work is done, even if the caller has stopped waiting before.
            let _core = core;
            body.decoded(decode)
        });
        match work.await {
            Ok(decoded) => decoded,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(NoAnswer::Cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length as u64).map(|index| b"0123456789abcdef"[(index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize]).collect()
    }

    #[test]
    fn streams_of_one_member_and_of_several_are_inflated() {
        for length in [0, 1, 100, ROOM, 3 * ROOM + 17] {
            assert_eq!(inflated(&gzip(&text(length))).unwrap(), text(length), "{length}");
        }
        let members = [gzip(&text(300_000)), gzip(b""), gzip(b"and more")].concat();
        assert_eq!(inflated(&members).unwrap(), [text(300_000), b"and more".to_vec()].concat());
        assert_eq!(inflated(b"").unwrap(), b"", "nothing is an empty body");
    }

    #[test]
    fn a_truncated_or_corrupt_gzip_stream_is_a_cut_answer() {
        let whole = gzip(&text(5_000));
        for length in 1..whole.len() {
            assert_eq!(inflated(&whole[..length]), Err(NoAnswer::Cut), "{length} of {} bytes", whole.len());
        }
        let mut other_checksum = whole.clone();
        let at = whole.len() - 8;
        other_checksum[at] ^= 1;
        let mut other_size = whole.clone();
        other_size[at + 4] ^= 1;
        for broken in [other_checksum, other_size, [&whole[..], b"trailing"].concat(), b"{\"type\":\"list\"}".to_vec()] {
            assert_eq!(inflated(&broken), Err(NoAnswer::Cut));
        }
    }

    #[test]
    fn a_decompression_bomb_is_inflated_up_to_the_limit_only() {
        let bound = gzip(&vec![b' '; BODY_MAX]);
        assert_eq!(inflated(&bound).map(|plain| plain.len()), Ok(BODY_MAX));
        assert_eq!(inflated(&gzip(&vec![b' '; BODY_MAX + 1])), Err(NoAnswer::TooLarge));
        let bomb = [&bound[..], &bound, &bound, &bound].concat();
        assert_eq!(inflated(&bomb), Err(NoAnswer::TooLarge));
        // The declared size is capped.
        assert!(announced(&[0xff; 20]) <= 20 * RATIO_MAX + 1);
    }

    #[tokio::test]
    async fn small_bodies_are_decoded_on_the_calling_thread_and_large_ones_elsewhere() {
        let decoding = Decoding::new();
        let here = std::thread::current().id();
        for (bytes, is_gzip, is_here) in
            [(text(100), false, true), (gzip(&text(100)), true, true), (text(SMALL + 1), false, false), (gzip(&text(90_000)), true, false)]
        {
            let (thread, length) = decoding.run(Body { bytes, is_gzip }, |body| (std::thread::current().id(), body.len())).await.unwrap();
            assert_eq!(thread == here, is_here, "{length}");
        }
        assert_eq!(decoding.run(Body { bytes: b"no gzip".to_vec(), is_gzip: true }, <[u8]>::len).await, Err(NoAnswer::Cut));
    }
}
