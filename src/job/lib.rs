//! Everything that a command does with a job: the month-end run ([`run()`]) with its plan, its scheduler and its reports, and the
//! work of all other commands. The crate of the command line uses this crate, reads the clock and prints.

pub mod census;
pub mod check;
pub mod listing;
pub mod privacy;
pub mod settings;
pub mod tagging;

mod apply;
mod backfill;
mod bounds;
mod clock;
mod contact_requests;
mod context;
mod copy;
mod engine;
mod error;
mod estimate;
mod events;
mod fetch;
mod findings;
mod forget;
mod observed;
mod pages;
mod partitioning;
mod plan;
mod prior_month;
mod reader;
mod refresh;
mod resolve;
mod run;
mod scheduler;
mod scope;
mod status;
mod strategy;
mod stream;
mod subscriptions;
mod tag_dates;
mod vanished;
mod work;

pub use apply::Applied;
pub use backfill::{BackfillOptions, BackfillOutcome, BackfillPlan, backfill, backfill_dry_run};
pub use clock::{ClockOffset, Otherwise};
pub use context::{Clock, Context, archive, client, privacy, timezone};
pub use copy::{CopiedMonths, copy};
pub use engine::{interrupt_engines, remote_engine};
pub use error::{DamagedMonth, JobError};
pub use estimate::Estimate;
pub use events::{Built, Event, Observer};
pub use forget::{Forgotten, Person, forget};
pub use observed::{Observed, ObservedCohort, observed};
pub use partitioning::{SubRange, merge, pages, rows_per_partition, split};
pub use plan::{Plan, similar_attribute, unknown_attributes};
pub use refresh::{Rebuilt, Refreshed, Scope as RefreshScope, cohort_facts, engine_script, refresh};
pub use resolve::{Unresolved, Why, resolve};
pub use run::{ApplyTags, Published, RunOptions, RunOutcome, dry_run, run};
pub use scope::Scope;
pub use status::{MonthStatus, Status, status};
pub use stream::{Partitioning, PlannedStream, SizedPartition, StreamKind};

use archive::Archive;
use bounds::{TIMEZONE_CHANGED, old_table};
use clock::clock_offset;
use error::joined;
use prior_month::{PriorMonth, prior_month};
use scope::basis_at;
