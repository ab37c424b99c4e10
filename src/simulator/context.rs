//! What the dialects answer reads from.

use super::numbered::Moves;
use super::scroll::Scrolls;
use super::world_view::WorldView;

/// What the dialects answer reads from.
pub(crate) struct ReadContext<'a> {
    pub view: &'a WorldView,
    pub scrolls: &'a Scrolls,
    pub moves: &'a Moves,
    /// Lists end with an empty page at the page limit, not with an error.
    pub cap_silent: bool,
}
