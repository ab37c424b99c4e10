//! One row for each member and profile attribute. In this long form the columns do not depend on the job.

use super::{MONTH, Report, Source};
use crate::steps::people;
use archive::table::{Column as Entry, Kind, Table};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "member_attributes",
        row: "a contact that is in any cohort, and an attribute of the job's profile",
        key: &["month", "contact_id", "attribute"],
        columns: &[
            MONTH,
            Entry::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
            Entry::new("attribute", Kind::Text, "the attribute as the job names it: `country`, `custom_attributes.plan`"),
            Entry::new("value", Kind::Text, "the value as text; flags as true and false").or_null("the contact has none"),
            Entry::new("value_number", Kind::Ratio, "the value of a custom attribute, if it is a number")
                .in_unit("the attribute's own")
                .or_null("it is not a number, or the contact has none"),
        ],
    },
    source: Source::PerMember { sql: include_str!("../steps/member_attributes.sql"), embedded: people::member_attributes },
};
