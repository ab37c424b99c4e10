//! One stream of a plan: what it reads, how large it is, and its partitions. `plan.json` has the same fields, so that a run
//! that continues has the same partitions.

mod json;

use serde::{Deserialize, Serialize};

use self::json::{Names, OfGroup, PartitionJson};
use domain::{Group, GroupKind, POPULATION, Partition};

/// One stream of the API: a group, everyone, or the month's conversations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedStream {
    #[serde(flatten)]
    pub kind: StreamKind,
    /// The announced total; `None` if it was not requested.
    pub size: Option<u64>,
    /// The number of members that the API gives in its list of tags or segments.
    #[serde(skip)]
    pub listed: Option<u64>,
    /// The announced total of the group, if its members are derived from the contacts' own lists while everyone is read.
    #[serde(rename = "tallied", default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<u64>,
    /// The partitions of the stream; `None` if the stream is not long. A run decides this after the first page of the stream.
    #[serde(rename = "division", default, skip_serializing_if = "Option::is_none")]
    pub partitioning: Option<Partitioning>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Names", into = "Names")]
pub enum StreamKind {
    Everyone,
    Members(Group),
    Conversations,
}

/// The partitions of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitioning {
    /// The number of rows of the whole stream when it was partitioned.
    pub total: u64,
    /// The number of requests that it took to find the partitions.
    pub requests: u64,
    #[serde(rename = "slices")]
    pub partitions: Vec<SizedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizedPartition {
    /// The number of rows when the stream was partitioned.
    pub rows: u64,
    #[serde(flatten, with = "PartitionJson")]
    pub partition: Partition,
}

impl PlannedStream {
    pub(super) fn new(kind: StreamKind) -> PlannedStream {
        PlannedStream { kind, size: None, listed: None, derived: None, partitioning: None }
    }

    /// The stream's name in the spool, the counts and the log.
    pub fn key(&self) -> String {
        self.kind.key()
    }

    /// The partitions, with their numbers of rows if known. `None` instead of a partition stands for the whole stream.
    pub fn partitions(&self) -> Vec<(Option<&Partition>, Option<u64>)> {
        match &self.partitioning {
            _ if self.derived.is_some() => Vec::new(),
            Some(partitioning) => partitioning.partitions.iter().map(|sized| (Some(&sized.partition), Some(sized.rows))).collect(),
            None => vec![(None, self.size)],
        }
    }
}

impl StreamKind {
    fn key(&self) -> String {
        match self {
            StreamKind::Everyone => POPULATION.to_string(),
            StreamKind::Members(group) => group.key(),
            StreamKind::Conversations => "conversations".to_string(),
        }
    }

    pub(super) fn is_tag(&self) -> bool {
        self.group().is_some_and(|group| group.kind == GroupKind::Tag)
    }

    pub(super) fn group(&self) -> Option<&Group> {
        match self {
            StreamKind::Members(group) => Some(group),
            StreamKind::Everyone | StreamKind::Conversations => None,
        }
    }
}

impl From<StreamKind> for Names {
    fn from(kind: StreamKind) -> Names {
        Names { key: kind.key(), group: kind.group().cloned().map(OfGroup) }
    }
}

impl From<Names> for StreamKind {
    fn from(names: Names) -> StreamKind {
        match names.group {
            Some(OfGroup(group)) => StreamKind::Members(group),
            None if names.key == POPULATION => StreamKind::Everyone,
            None => StreamKind::Conversations,
        }
    }
}

impl Partitioning {
    /// The number of requests of a run before the pages of the partitions: the first page of the whole stream, which gives its
    /// size, and the requests that find the partitions.
    pub(super) fn probe_requests(&self) -> u64 {
        1 + self.requests
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate};
    use serde_json::json;

    use super::*;
    use domain::{ContactPartition, CreationRange, Role, SecondPartition, TimeZone};

    #[test]
    fn the_json_of_streams_is_that_of_earlier_versions() {
        let group = Group { kind: GroupKind::Segment, id: "a1".to_string(), name: "Active".to_string() };
        let days = CreationRange::Days { first: None, last: NaiveDate::from_ymd_opt(2026, 7, 2), timezone: TimeZone::utc() };
        let second = CreationRange::Seconds { start: Some(DateTime::UNIX_EPOCH), end: None };
        let contacts = |created: &CreationRange, role| Partition::Contacts(ContactPartition { created: created.clone(), role });
        let seconds = SecondPartition { start: DateTime::UNIX_EPOCH, end: DateTime::UNIX_EPOCH };
        let lead = Some(Role::Lead);
        let partitions = [contacts(&days, None), contacts(&days, lead), contacts(&second, lead), Partition::Conversations(seconds)];
        let partitions = partitions.map(|partition| SizedPartition { rows: 5, partition }).to_vec();
        let partitioning = Partitioning { total: 15, requests: 4, partitions };
        let everyone = PlannedStream { partitioning: Some(partitioning), ..PlannedStream::new(StreamKind::Everyone) };
        let members = PlannedStream { size: Some(7), derived: Some(8), ..PlannedStream::new(StreamKind::Members(group)) };
        let streams = [everyone, members, PlannedStream::new(StreamKind::Conversations)];
        let written = json!([
            {"key": "population", "group": null, "size": null, "division": {"total": 15, "requests": 4, "slices": [
                {"rows": 5, "first_day": null, "last_day": "2026-07-02", "timezone": "UTC", "role": null},
                {"rows": 5, "first_day": null, "last_day": "2026-07-02", "timezone": "UTC", "role": "lead"},
                {"rows": 5, "created_from": "1970-01-01T00:00:00Z", "created_before": null, "role": "lead"},
                {"rows": 5, "start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:00:00Z"},
            ]}},
            {"key": "segment:a1", "group": {"kind": "segment", "id": "a1", "name": "Active"}, "size": 7, "tallied": 8},
            {"key": "conversations", "group": null, "size": null},
        ]);
        assert_eq!(serde_json::to_value(&streams).unwrap(), written);
        let read: Vec<PlannedStream> = serde_json::from_value(written).unwrap();
        let fields = |stream: &PlannedStream| (stream.kind.clone(), stream.size, stream.derived, stream.partitioning.clone());
        assert!(read.iter().map(fields).eq(streams.iter().map(fields)));
    }

    #[test]
    fn a_partition_without_its_bounds_is_not_read() {
        for partition in [
            json!({"rows": 5, "first_day": null, "last_day": "2026-07-02", "timezone": "Mars/Olympus", "role": null}),
            json!({"rows": 5, "created_from": "1970-01-01T00:00:00Z", "role": null}),
            json!({"rows": 5, "role": "lead"}),
        ] {
            assert!(serde_json::from_value::<SizedPartition>(partition.clone()).is_err(), "{partition}");
        }
    }
}
