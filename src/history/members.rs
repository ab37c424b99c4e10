//! stub
use polars::prelude::LazyFrame;

use super::{CohortMonth, Definitions, HistoryError};
use crate::snapshot::{MEMBERS, Snapshot};

pub(super) fn of(snapshot: &Snapshot, _: &Definitions, _: &[CohortMonth], _: LazyFrame) -> Result<LazyFrame, HistoryError> {
    Ok(snapshot.scan(&MEMBERS)?)
}
