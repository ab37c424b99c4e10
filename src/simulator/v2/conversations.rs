//! `/conversations`: the list and the search.

use serde::Serialize;
use serde_json::Value;

use super::contacts::search_cursor;
use super::conversation_body::{conversation_body, priority_word};
use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::paging::{self, Cut, Key, Pages, Position};
use crate::search::conversations::{found, key, parse, sortable};
use crate::search::sort::sort;
use crate::version::V2_16;
use crate::world_view::WorldView;

#[derive(Serialize)]
struct ConversationList {
    r#type: &'static str,
    pages: Pages,
    total_count: usize,
    conversations: Vec<Value>,
}

fn list_body(view: &WorldView, call: &Call, shown: &[u32], total_count: usize, pages: Pages) -> Result<String, ApiError> {
    let conversations = shown.iter().map(|index| conversation_body(view, *index, call.version)).collect();
    write(&ConversationList { r#type: "conversation.list", pages, total_count, conversations })
}

/// `GET /conversations`: newest first (an assumption). It uses cursors in every version. The page numbers of 2.0 to 2.5 are not simulated.
pub(super) fn list(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let per_page = paging::per_page(call.parameter_value("per_page").as_ref(), 20)?;
    let after = call.parameter("starting_after").map(Position::from_list_cursor).transpose()?;
    let cut = Cut { descending: true, per_page, after, moves: call.moves };
    let total = view.conversations().len();
    let all = view.found("conversations".to_owned(), || (0..total as u32).collect());
    let (shown, next) = paging::page(&all, &cut, |index| (Key::Nothing, view.conversations()[index as usize].id.to_string()));
    let next = next.map(|position| (position.page, position.to_list_cursor()));
    list_body(view, call, &shown, total, Pages::new(&cut, total, next))
}

/// `POST /conversations/search`: last updated first by default (an assumption).
pub(super) fn search(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let body = call.object()?;
    let query = parse(body.get("query"))?;
    // In 2.16, only contact searches are known to check the sort order.
    let sort = sort(body.get("sort"), "updated_at", false)?;
    let field = sortable(sort.field).ok_or_else(|| ApiError::parameter_invalid(format!("'{}' is not a field to sort by", sort.field)))?;
    let pagination = body.get("pagination");
    let per_page = paging::per_page(pagination.and_then(|pagination| pagination.get("per_page")), 20)?;
    let cut = Cut { descending: sort.descending, per_page, after: search_cursor(pagination)?, moves: call.moves };
    // Priorities have other names from 2.16 on, so a search can have other results.
    let name = format!("conversations {} {field:?} {}", call.version >= V2_16, body["query"]);
    let all = view.found(name, || found(view, &query, field, priority_word(call.version)));
    let (shown, next) = paging::page(&all, &cut, |index| (key(view, index, field), view.conversations()[index as usize].id.to_string()));
    let next = next.map(|position| (position.page, position.to_search_cursor()));
    list_body(view, call, &shown, all.len(), Pages::new(&cut, all.len(), next))
}
