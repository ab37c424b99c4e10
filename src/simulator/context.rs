//! The state that the dialects read to answer a request.

use super::numbered::Moves;
use super::scroll::Scrolls;
use super::world_view::WorldView;

/// The state that the dialects read to answer a request.
pub(crate) struct ReadContext<'a> {
    pub view: &'a WorldView,
    pub scrolls: &'a Scrolls,
    pub moves: &'a Moves,
    /// Whether lists by page number end with an empty page at the page limit, not with an error.
    pub cap_silent: bool,
}
