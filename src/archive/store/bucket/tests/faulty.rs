//! A store in memory that fails at random, as real stores do, and counts its requests. A seed makes the failures repeatable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a store fails. A number from 0 to 1 is the share of the requests that fail in this way.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The request fails before it does anything.
    pub fails_before: f64,
    /// The request is done, but its answer is lost.
    pub fails_after: f64,
    /// The connection breaks off in the middle of a list.
    pub cuts_lists: f64,
    /// A read returns the version before the last write.
    pub reads_stale: f64,
    /// After this number of requests, all requests fail, as after a crash of the process.
    pub dies_after: Option<usize>,
    pub ignores_create: bool,
    pub ignores_update: bool,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub lists: usize,
    pub reads: usize,
    pub writes: usize,
}

#[derive(Debug)]
pub(super) struct Faulty {
    inner: InMemory,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    random: ChaCha8Rng,
    requests: usize,
    counts: Counts,
    /// The content before the last write of each object.
    before: BTreeMap<Path, (PutPayload, Option<String>)>,
}

impl Faulty {
    pub(super) fn new(plan: Plan) -> Faulty {
        let random = ChaCha8Rng::seed_from_u64(plan.seed);
        let state = State { plan, random, requests: 0, counts: Counts::default(), before: BTreeMap::new() };
        Faulty { inner: InMemory::new(), state: Mutex::new(state) }
    }

    pub(super) fn set(&self, plan: Plan) {
        let mut state = self.state();
        (state.random, state.requests, state.plan) = (ChaCha8Rng::seed_from_u64(plan.seed), 0, plan);
    }

    /// The requests since the last call.
    pub(super) fn counts(&self) -> Counts {
        std::mem::take(&mut self.state().counts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn happens(&self, rate: impl Fn(&Plan) -> f64) -> bool {
        let mut state = self.state();
        let rate = rate(&state.plan);
        rate > 0.0 && state.random.random::<f64>() < rate
    }

    /// Counts a request, and decides whether it fails before it does anything.
    fn begin(&self) -> Result<()> {
        let is_dead = {
            let mut state = self.state();
            state.requests += 1;
            state.plan.dies_after.is_some_and(|most| state.requests > most)
        };
        if is_dead || self.happens(|plan| plan.fails_before) { Err(timeout()) } else { Ok(()) }
    }

    fn end<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_ok() && self.happens(|plan| plan.fails_after) { Err(timeout()) } else { result }
    }
}

fn timeout() -> Error {
    Error::Generic { store: "faulty", source: Box::new(HttpError::new(HttpErrorKind::Timeout, std::io::Error::other("time-out"))) }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        self.state().counts.writes += 1;
        self.begin()?;
        {
            let state = self.state();
            let is_ignored = match options.mode {
                PutMode::Create => state.plan.ignores_create,
                PutMode::Update(_) => state.plan.ignores_update,
                PutMode::Overwrite => false,
            };
            if is_ignored {
                options.mode = PutMode::Overwrite;
            }
        }
        let before = match self.inner.get(location).await {
            Ok(found) => {
                let tag = found.meta.e_tag.clone();
                Some((PutPayload::from(found.bytes().await?), tag))
            }
            Err(_) => None,
        };
        let result = self.inner.put_opts(location, payload, options).await?;
        if let Some(before) = before {
            self.state().before.insert(location.clone(), before);
        }
        self.end(Ok(result))
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.begin()?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.state().counts.reads += 1;
        self.begin()?;
        let mut found = self.inner.get_opts(location, options).await?;
        let before = self.state().before.get(location).cloned();
        if let Some((payload, tag)) = before
            && self.happens(|plan| plan.reads_stale)
        {
            let bytes = bytes::Bytes::from(payload);
            found.meta.size = bytes.len() as u64;
            found.meta.e_tag = tag;
            found.range = 0..bytes.len() as u64;
            found.payload = object_store::GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        }
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.state().counts.writes += 1;
        if let Err(error) = self.begin() {
            return stream::once(async { Err(error) }).boxed();
        }
        let is_lost = self.happens(|plan| plan.fails_after);
        let deleted = self.inner.delete_stream(locations);
        if is_lost { deleted.map(|deleted| deleted.and_then(|_| Err(timeout()))).boxed() } else { deleted }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.state().counts.lists += 1;
        if let Err(error) = self.begin() {
            return stream::once(async { Err(error) }).boxed();
        }
        let objects = self.inner.list(prefix);
        if self.happens(|plan| plan.cuts_lists) {
            return objects.take(2).chain(stream::once(async { Err(timeout()) })).boxed();
        }
        objects
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
