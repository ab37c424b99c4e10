//! The contract's columns of each report, written down once more.

use polars::prelude::{DataType, TimeUnit, TimeZone};

/// The reports, each with the contract's columns in its order.
pub(crate) const REPORTS: [(&str, &[(&str, Type)]); 15] = [
    ("cohort_summary", COHORT_SUMMARY),
    ("cohort_trends", COHORT_TRENDS),
    ("retention", RETENTION),
    ("retention_curve", RETENTION_CURVE),
    ("retention_change", RETENTION_CHANGE),
    ("membership_survival", MEMBERSHIP_SURVIVAL),
    ("attribute_profile", ATTRIBUTE_PROFILE),
    ("numeric_profile", NUMERIC_PROFILE),
    ("unsubscribes", UNSUBSCRIBES),
    ("movement", MOVEMENT),
    ("overlap", OVERLAP),
    ("conversation_activity", CONVERSATION_ACTIVITY),
    ("members", MEMBERS),
    ("member_attributes", MEMBER_ATTRIBUTES),
    ("data_quality", DATA_QUALITY),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Type {
    Text,
    Count,
    Ratio,
    Flag,
    Day,
    Instant,
}
use Type::{Count, Day, Flag, Instant, Ratio, Text};

impl Type {
    pub(crate) fn dtype(self) -> DataType {
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

const UNSUBSCRIBES: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("subscription_id", Text),
    ("subscription_name", Text),
    ("members", Count),
    ("opted_out", Count),
    ("opted_out_share", Ratio),
    ("newly_opted_out", Count),
    ("newly_opted_in", Count),
];

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
    ("departed_deleted", Count),
    ("departed_merged", Count),
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
    ("population", Count),
    ("population_a", Count),
    ("population_b", Count),
    ("population_both", Count),
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

const COHORT_TRENDS: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("metric", Text),
    ("value", Ratio),
    ("previous_value", Ratio),
    ("change", Ratio),
    ("change_rate", Ratio),
    ("year_ago_value", Ratio),
    ("year_rate", Ratio),
    ("moving_average_3", Ratio),
    ("slope_per_month", Ratio),
    ("trend_test", Text),
    ("trend_p", Ratio),
    ("trend_q", Ratio),
    ("direction", Text),
    ("expected", Ratio),
    ("expected_low", Ratio),
    ("expected_high", Ratio),
    ("anomaly_p", Ratio),
    ("anomaly_q", Ratio),
    ("is_anomaly", Flag),
    ("history_months", Count),
];

const RETENTION: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("entry_month", Day),
    ("entry_is_censored", Flag),
    ("age_months", Count),
    ("entrants", Count),
    ("retained", Count),
    ("retained_unbroken", Count),
    ("retention_rate", Ratio),
    ("rate_low", Ratio),
    ("rate_high", Ratio),
];

const RETENTION_CURVE: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("age_months", Count),
    ("entry_months", Count),
    ("entrants", Count),
    ("retained", Count),
    ("retained_unbroken", Count),
    ("retention_rate", Ratio),
    ("rate_low", Ratio),
    ("rate_high", Ratio),
];

const RETENTION_CHANGE: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("recent_entrants", Count),
    ("earlier_entrants", Count),
    ("recent_departed", Count),
    ("recent_expected", Ratio),
    ("hazard_ratio", Ratio),
    ("ratio_low", Ratio),
    ("ratio_high", Ratio),
    ("p_value", Ratio),
    ("q_value", Ratio),
];

const MEMBERSHIP_SURVIVAL: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("duration_months", Count),
    ("at_risk", Count),
    ("departed", Count),
    ("censored", Count),
    ("resumed", Count),
    ("hazard", Ratio),
    ("survival", Ratio),
    ("survival_low", Ratio),
    ("survival_high", Ratio),
];

const ATTRIBUTE_PROFILE: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("attribute", Text),
    ("value", Text),
    ("members", Count),
    ("members_known", Count),
    ("member_share", Ratio),
    ("others", Count),
    ("others_known", Count),
    ("other_share", Ratio),
    ("lift", Ratio),
    ("lift_low", Ratio),
    ("lift_high", Ratio),
    ("odds_ratio", Ratio),
    ("odds_low", Ratio),
    ("odds_high", Ratio),
    ("p_value", Ratio),
    ("q_value", Ratio),
    ("previous_members", Count),
    ("previous_known", Count),
    ("previous_share", Ratio),
    ("share_change", Ratio),
];

const NUMERIC_PROFILE: &[(&str, Type)] = &[
    ("month", Day),
    ("cohort_key", Text),
    ("cohort_name", Text),
    ("attribute", Text),
    ("members", Count),
    ("mean", Ratio),
    ("p10", Ratio),
    ("median", Ratio),
    ("p90", Ratio),
    ("others", Count),
    ("others_median", Ratio),
    ("cliffs_delta", Ratio),
    ("delta_low", Ratio),
    ("delta_high", Ratio),
    ("p_value", Ratio),
    ("q_value", Ratio),
];

const MOVEMENT: &[(&str, Type)] = &[
    ("month", Day),
    ("from_cohort", Text),
    ("from_name", Text),
    ("to_cohort", Text),
    ("to_name", Text),
    ("contacts", Count),
    ("previous_members", Count),
    ("share_of_from", Ratio),
];
