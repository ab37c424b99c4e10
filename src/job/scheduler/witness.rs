//! The witness of a stream: a second source for its members. The total that comes with the rows is no witness, because it can be
//! wrong in the same way.

use archive::snapshot::Comparison;
use domain::{Allowed, differs_from_listing};

/// The second source for a stream, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// The members were derived from the contacts' own lists, and the group's total agrees.
    Totals,
    /// The own lists of everyone's contacts.
    OwnLists(Comparison),
    /// The number of members in the listing of groups.
    Listing(u64),
}

impl Witness {
    /// Whether the witness differs from the rows that came by more than is allowed.
    pub(crate) fn contradicts(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::Totals => false,
            Witness::OwnLists(comparison) => {
                let allowed = Allowed::Tolerance(tolerance).of(comparison.holders.max(came));
                comparison.missing > allowed || comparison.unconfirmed > allowed
            }
            Witness::Listing(listed) => differs_from_listing(came, *listed),
        }
    }

    /// Whether the witness can confirm that all members came. Own lists cannot if too many of them are truncated.
    pub(crate) fn can_confirm(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::OwnLists(comparison) => comparison.unknown_missing <= Allowed::Tolerance(tolerance).of(comparison.holders.max(came)),
            Witness::Totals | Witness::Listing(_) => true,
        }
    }

    /// Whether this witness alone proves that members are missing.
    pub(super) fn proves_incomplete(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::Listing(listed) => self.contradicts(came, tolerance) && came.saturating_mul(2) < *listed,
            Witness::Totals | Witness::OwnLists(_) => self.contradicts(came, tolerance),
        }
    }
}
