//! The contract's columns of each report, written down once more.

use polars::prelude::{DataType, TimeUnit, TimeZone};

/// The six reports, each with the contract's columns in its order.
pub const REPORTS: [(&str, &[(&str, Type)]); 6] = [
    ("cohort_summary", COHORT_SUMMARY),
    ("overlap", OVERLAP),
    ("conversation_activity", CONVERSATION_ACTIVITY),
    ("members", MEMBERS),
    ("member_attributes", MEMBER_ATTRIBUTES),
    ("data_quality", DATA_QUALITY),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    Text,
    Count,
    Ratio,
    Flag,
    Day,
    Instant,
}
use Type::{Count, Day, Flag, Instant, Ratio, Text};

impl Type {
    pub fn dtype(self) -> DataType {
        match self {
            Text => DataType::String,
            Count => DataType::Int64,
            Ratio => DataType::Float64,
            Flag => DataType::Boolean,
            Day => DataType::Date,
            Instant => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        }
    }
}

const COHORT_SUMMARY: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("cohort_kind", Text),
    ("cohort_id", Text),
    ("basis", Text),
    ("observed_at", Instant),
    ("members", Count),
    ("users", Count),
    ("leads", Count),
    ("intercom_count", Count),
    ("new_contacts", Count),
    ("active_members", Count),
    ("openers", Count),
    ("conversations_opened", Count),
    ("unsubscribed", Count),
    ("hard_bounced", Count),
    ("marked_spam", Count),
    ("compared_month", Day),
    ("previous_members", Count),
    ("retained", Count),
    ("joined", Count),
    ("returned", Count),
    ("departed", Count),
    ("departed_gone", Count),
    ("net_change", Count),
    ("newly_unsubscribed", Count),
    ("converted_leads", Count),
    ("growth_rate", Ratio),
    ("retention_rate", Ratio),
    ("churn_rate", Ratio),
    ("quick_ratio", Ratio),
    ("active_rate", Ratio),
    ("opener_rate", Ratio),
    ("unsubscribed_rate", Ratio),
];

const OVERLAP: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_a", Text),
    ("cohort_a_name", Text),
    ("cohort_b", Text),
    ("cohort_b_name", Text),
    ("members_a", Count),
    ("members_b", Count),
    ("in_both", Count),
    ("in_either", Count),
    ("jaccard", Ratio),
    ("share_of_a", Ratio),
    ("share_of_b", Ratio),
    ("lift", Ratio),
];

const CONVERSATION_ACTIVITY: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("measure", Text),
    ("label", Text),
    ("lower_bound", Count),
    ("contacts", Count),
    ("contacts_share", Ratio),
    ("conversations_opened", Count),
];

const MEMBERS: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("contact_id", Text),
    ("external_id", Text),
    ("email", Text),
    ("name", Text),
    ("role", Text),
    ("change", Text),
    ("entered_month", Day),
    ("months_in_cohort", Count),
    ("conversations_opened", Count),
    ("last_seen_at", Instant),
    ("signed_up_at", Instant),
    ("created_at", Instant),
    ("unsubscribed_from_emails", Flag),
    ("country", Text),
];

const MEMBER_ATTRIBUTES: &[(&str, Type)] =
    &[("month", Day), ("contact_id", Text), ("attribute", Text), ("value", Text), ("value_number", Ratio)];

const DATA_QUALITY: &[(&str, Type)] =
    &[("month", Day), ("severity", Text), ("check_name", Text), ("subject", Text), ("value", Text), ("expected", Text), ("detail", Text)];
