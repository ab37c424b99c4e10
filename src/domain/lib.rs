//! The domain types: months, cohorts, contacts, conversations. They do no I/O, read no clock and are not serializable. Each boundary (API,
//! files, settings) has its own types and converts them.

mod basis;
mod company;
mod completeness;
mod contact;
mod group;
mod ids;
mod month;
mod name;
mod number;
mod oddities;
mod partition;
mod reference;
mod subscription;
mod timezone;

pub use basis::Basis;
pub use company::Company;
pub use completeness::{Allowed, Shortfall, agrees, differs_from_listing, shrank};
pub use contact::{AttributeValue, Contact, Conversation, CustomAttribute, Opener, OwnTags, Role, TagDate, is_identifier, profile_columns};
pub use group::{Fit, Group, GroupKind, GroupName, cohort_key};
pub use ids::{ContactId, ContactIds, IdMap, IdSet, object_id};
pub use month::{Month, MonthError, MonthSpan, Months};
pub use name::{are_alike, did_you_mean, name_key, unseen_difference};
pub use number::Number;
pub use oddities::Oddities;
pub use partition::{ContactPartition, CreationRange, Partition, SecondPartition};
pub use reference::{FoundContact, MakeReference, Reference};
pub use subscription::{Choice, Fate, OwnSubscriptions, Subscription, SubscriptionType};
pub use timezone::{TimeZone, ZoneSource, ZoneTable, ZoneVersion};

/// The key of the population in streams and findings. The population is not a cohort.
pub const POPULATION: &str = "population";
