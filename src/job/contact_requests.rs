//! One request for each of some contacts, side by side. Each answer is saved, so that a later run asks only for missing answers.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};

use super::{Context, Event, JobError, joined};
use archive::snapshot::{Answer, Answers};
use domain::Months;
use intercom::RequestError;

/// What is asked about contacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The folder of the answers in the work folder, and their name in the log.
    pub name: &'static str,
    /// What the answers are, for error messages: "the dates of tags".
    pub about: &'static str,
    /// Whether a month can be published without the answer about a contact, if the API refuses the request.
    pub is_optional: bool,
}

/// Asks about contacts, each once, for all streams that need the answers.
pub(super) struct ContactRequests<A> {
    context: Context,
    months: Months,
    question: Question,
    folder: PathBuf,
    so_far: Arc<Mutex<SoFar<A>>>,
}

struct SoFar<A> {
    answers: Answers<A>,
    wanted: u64,
    asked: u64,
    is_refused: bool,
}

impl<A> Clone for ContactRequests<A> {
    fn clone(&self) -> ContactRequests<A> {
        let ContactRequests { context, months, question, folder, so_far } = self;
        ContactRequests { context: context.clone(), months: *months, question: *question, folder: folder.clone(), so_far: so_far.clone() }
    }
}

impl<A: Answer> ContactRequests<A> {
    /// Continues with the answers of an earlier run.
    pub(super) async fn open(context: &Context, months: Months, work: &Path, question: Question) -> Result<ContactRequests<A>, JobError> {
        let folder = work.join(question.name);
        let opening = folder.clone();
        let answers = joined(tokio::task::spawn_blocking(move || Ok(Answers::open(opening)?)).await)?;
        let so_far = Arc::new(Mutex::new(SoFar { answers, wanted: 0, asked: 0, is_refused: false }));
        Ok(ContactRequests { context: context.clone(), months, question, folder, so_far })
    }

    /// The number of these contacts that have no answer and are not being asked about.
    pub(super) fn unanswered(&self, contacts: &BTreeSet<String>) -> usize {
        let so_far = self.lock();
        contacts.iter().filter(|id| !so_far.answers.knows(id)).count()
    }

    /// Asks about these contacts, except those already asked about. `ask` returns the answer about a contact; `None` if there is none, so
    /// that a later run asks again. Returns how many of the contacts asked about now have no answer.
    pub(super) async fn ask<F>(&self, contacts: &BTreeSet<String>, ask: impl Fn(String) -> F) -> Result<u64, JobError>
    where
        F: Future<Output = Result<Option<Vec<A>>, RequestError>>,
    {
        let wanted: Vec<String> = {
            let mut so_far = self.lock();
            let wanted: Vec<String> = contacts.iter().filter(|id| so_far.answers.claim(id)).cloned().collect();
            // If no contact is asked about, there is no progress to report.
            if so_far.wanted == 0 && !wanted.is_empty() {
                (self.context.observer)(Event::StreamStarted { stream: self.question.name.to_string() });
            }
            so_far.wanted += wanted.len() as u64;
            wanted
        };
        let asks = wanted.into_iter().map(|id| {
            let answer = ask(id.clone());
            async move { (id, answer.await) }
        });
        let mut answers = stream::iter(asks).buffer_unordered(self.context.settings.intercom.max_concurrency);
        let mut unanswered = 0;
        while let Some((id, answer)) = answers.next().await {
            let mut so_far = self.lock();
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if self.question.is_optional && error.is_rejected_after_success() => {
                    if !std::mem::replace(&mut so_far.is_refused, true) {
                        tracing::warn!(%error, "{}: the API refused a request; the run goes on without the answer", self.question.about);
                    }
                    None
                }
                Err(source) => {
                    // The answers that came are saved, so that the next run does not request them again.
                    so_far.answers.flush()?;
                    let stream = self.question.about.to_string();
                    return Err(JobError::Fetch { months: self.months, stream, source: source.into() });
                }
            };
            match answer {
                Some(answer) => so_far.answers.push(id, answer)?,
                None => unanswered += 1,
            }
            so_far.asked += 1;
            let event = Event::Page { stream: self.question.name.to_string(), rows: so_far.asked, total: Some(so_far.wanted) };
            drop(so_far);
            (self.context.observer)(event);
        }
        Ok(unanswered)
    }

    /// The folder of the answers, after the last request.
    pub(super) fn end(&self) -> Result<PathBuf, JobError> {
        let mut so_far = self.lock();
        so_far.answers.flush()?;
        if so_far.wanted > 0 {
            (self.context.observer)(Event::StreamDone { stream: self.question.name.to_string(), rows: so_far.asked });
        }
        Ok(self.folder.clone())
    }

    fn lock(&self) -> MutexGuard<'_, SoFar<A>> {
        // An answer is added completely or not at all, so a panic elsewhere leaves the state valid.
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
