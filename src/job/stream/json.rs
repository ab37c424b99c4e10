//! How `plan.json` represents the types of `domain`, which are not serializable.

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::zones;
use domain::{ContactPartition, CreationRange, Group, GroupKind, Partition, Role, SecondPartition, TimeZone};

/// The names of a stream. Only a stream of members has a group.
#[derive(Serialize, Deserialize)]
pub(super) struct Names {
    pub key: String,
    pub group: Option<OfGroup>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OfGroup(#[serde(with = "GroupJson")] pub Group);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Group")]
struct GroupJson {
    #[serde(with = "GroupKindJson")]
    kind: GroupKind,
    id: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GroupKind", rename_all = "lowercase")]
enum GroupKindJson {
    Tag,
    Segment,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Partition", untagged)]
pub(super) enum PartitionJson {
    Conversations(#[serde(with = "SecondsJson")] SecondPartition),
    Contacts(#[serde(with = "ContactsJson")] ContactPartition),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SecondPartition")]
struct SecondsJson {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ContactPartition")]
struct ContactsJson {
    #[serde(flatten, with = "CreationJson")]
    created: CreationRange,
    #[serde(serialize_with = "role_name", deserialize_with = "role")]
    role: Option<Role>,
}

/// Both keys must be present, even if their value is null: if missing keys were accepted, a partition without bounds would be read as the
/// whole stream.
#[derive(Serialize, Deserialize)]
#[serde(remote = "CreationRange", untagged)]
enum CreationJson {
    Days {
        #[serde(rename = "first_day", deserialize_with = "Option::deserialize")]
        first: Option<NaiveDate>,
        #[serde(rename = "last_day", deserialize_with = "Option::deserialize")]
        last: Option<NaiveDate>,
        #[serde(serialize_with = "zone_name", deserialize_with = "zone")]
        timezone: TimeZone,
    },
    Seconds {
        #[serde(rename = "created_from", deserialize_with = "Option::deserialize")]
        start: Option<DateTime<Utc>>,
        #[serde(rename = "created_before", deserialize_with = "Option::deserialize")]
        end: Option<DateTime<Utc>>,
    },
}

fn zone_name<S: Serializer>(zone: &TimeZone, serializer: S) -> Result<S::Ok, S::Error> {
    zone.name().serialize(serializer)
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    let name = String::deserialize(deserializer)?;
    zones().zone(&name).ok_or_else(|| D::Error::custom("unknown time zone"))
}

fn role_name<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
    role.map(Role::as_str).serialize(serializer)
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let role = [Role::User, Role::Lead].into_iter().find(|role| role.as_str() == name);
    role.map(Some).ok_or_else(|| D::Error::custom("unknown role"))
}
