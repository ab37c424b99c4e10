//! The state of each cohort's history (H, the months observed at their end): its first and last month.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use super::{History, HistoryError, STATES, scan_previous};
use archive::table::{TableError, instants};
use domain::MonthSpan;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) first_month: NaiveDate,
    pub(crate) last_month: NaiveDate,
    pub(crate) last_month_end: DateTime<Utc>,
    pub(crate) months: i64,
}

impl State {
    pub(crate) fn read(previous: Option<&History>) -> Result<BTreeMap<String, State>, HistoryError> {
        let failed = |error| TableError::new("read", "`states` of the last history", error);
        let frame = scan_previous(previous, &STATES)?.collect().map_err(failed)?;
        let rows = || -> PolarsResult<BTreeMap<String, State>> {
            let keys = frame.column("cohort_key")?.str()?;
            let first = frame.column("first_month")?.date()?;
            let last = frame.column("last_month")?.date()?;
            let end = frame.column("last_month_end")?.datetime()?;
            let months = frame.column("months")?.i64()?;
            let mut states = BTreeMap::new();
            for row in 0..frame.height() {
                let state = || {
                    Some(State {
                        first_month: NaiveDate::from_epoch_days(first.physical().get(row)?)?,
                        last_month: NaiveDate::from_epoch_days(last.physical().get(row)?)?,
                        last_month_end: DateTime::from_timestamp_micros(end.physical().get(row)?)?,
                        months: months.get(row)?,
                    })
                };
                if let (Some(key), Some(state)) = (keys.get(row), state()) {
                    states.insert(key.to_string(), state);
                }
            }
            Ok(states)
        };
        Ok(rows().map_err(failed)?)
    }

    pub(crate) fn frame(states: &BTreeMap<String, State>) -> Result<DataFrame, HistoryError> {
        let columns = vec![
            Column::new("cohort_key".into(), states.keys().map(String::as_str).collect::<Vec<_>>()),
            Column::new("first_month".into(), states.values().map(|state| state.first_month).collect::<Vec<_>>()),
            Column::new("last_month".into(), states.values().map(|state| state.last_month).collect::<Vec<_>>()),
            instants("last_month_end", states.values().map(|state| Some(state.last_month_end))),
            Column::new("months".into(), states.values().map(|state| state.months).collect::<Vec<_>>()),
        ];
        Ok(DataFrame::new(states.len(), columns).map_err(|error| TableError::new("make", "`states`", error))?)
    }

    /// The state of a cohort after a month of its H.
    pub(crate) fn after(before: Option<State>, span: &MonthSpan) -> State {
        let month = span.month.first_day();
        let Some(before) = before else {
            return State { first_month: month, last_month: month, last_month_end: span.end, months: 1 };
        };
        State { first_month: before.first_month, last_month: month, last_month_end: span.end, months: before.months + 1 }
    }

    /// The states of all cohorts after this month.
    pub(crate) fn all_after<'a>(
        before: BTreeMap<String, State>,
        in_history: impl Iterator<Item = &'a str>,
        span: &MonthSpan,
    ) -> BTreeMap<String, State> {
        let mut states = before;
        for key in in_history {
            let state = State::after(states.get(key).copied(), span);
            states.insert(key.to_string(), state);
        }
        states
    }
}
