//! The companies of a group. Both generations list them by page number, up to 10,000.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::StreamError;
use super::numbered::{ListError, Numbered};
use super::stream::{Page, Pages, Stream};
use super::transport::{Request, Transport};
use super::types::id_field;
use super::wire;
use domain::{Company, Group, GroupKind};

const PATH: &str = "/companies";
/// How many pages are requested at the same time.
const AHEAD: usize = 8;
/// The largest page. Page numbers reach at most 10,000 companies. Pages of 50 reach all of these companies. Pages of 60, the API's maximum,
/// do not, because 60 does not divide 10,000.
const PAGE_SIZE_MAX: u32 = 50;

struct CompanyStream {
    list: Numbered<Company>,
    /// The tag that all companies should have. `None` for a segment.
    tag: Option<String>,
}

pub(super) fn companies(transport: Arc<Transport>, page_size: u32, group: &Group) -> Stream<Company> {
    let request = Request::get(PATH).with(id_field(group.kind), group.id.as_str());
    let list = Numbered::new(transport, request, page_size.clamp(1, PAGE_SIZE_MAX), AHEAD, wire::companies);
    Stream::new(CompanyStream { list, tag: (group.kind == GroupKind::Tag).then(|| group.id.clone()) })
}

impl CompanyStream {
    async fn next_page(&mut self) -> Result<Option<Page<Company>>, StreamError> {
        let page = match self.list.next().await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(None),
            Err(ListError::PageLimit) => return Err(StreamError::PageLimit { path: PATH.to_string() }),
            Err(ListError::Failed(error)) => return Err(error),
        };
        let mut oddities = page.oddities;
        if let Some(tag) = &self.tag {
            let lacks = |company: &&Company| company.tags.as_ref().is_some_and(|tags| tags.contains(tag) == Some(false));
            oddities.tag_unconfirmed += page.rows.iter().filter(lacks).count() as u64;
        }
        Ok(Some(Page { rows: page.rows, total: page.total, oddities, workspace_id: None, is_restart: false, cursor: None }))
    }
}

impl Pages<Company> for CompanyStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<Company>>, StreamError>> {
        self.next_page().boxed()
    }
}
