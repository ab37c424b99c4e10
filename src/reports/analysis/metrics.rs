//! The counts of a cohort's month and the rates that follow from them. `cohort_summary` shows them for one month,
//! `cohort_trends` over all months.

use stats::Measure;

/// The counts, as columns of the history's `counts`.
pub(super) const COUNTS: &[&str] = &[
    "members",
    "users",
    "leads",
    "intercom_count",
    "new_contacts",
    "active_members",
    "openers",
    "conversations_opened",
    "unsubscribed",
    "hard_bounced",
    "marked_spam",
    "previous_members",
    "retained",
    "joined",
    "returned",
    "departed",
    "departed_gone",
    "departed_deleted",
    "departed_merged",
    "net_change",
    "newly_unsubscribed",
    "converted_leads",
];

/// `part / whole`; null if the whole is 0 or either is null.
pub(super) struct Rate {
    pub name: &'static str,
    pub part: &'static str,
    pub whole: &'static str,
}

pub(super) const RATES: &[Rate] = &[
    Rate { name: "growth_rate", part: "net_change", whole: "previous_members" },
    Rate { name: "retention_rate", part: "retained", whole: "previous_members" },
    Rate { name: "churn_rate", part: "departed", whole: "previous_members" },
    Rate { name: "quick_ratio", part: "joined", whole: "departed" },
    Rate { name: "active_rate", part: "active_members", whole: "members" },
    Rate { name: "opener_rate", part: "openers", whole: "members" },
    Rate { name: "unsubscribed_rate", part: "unsubscribed", whole: "members" },
];

/// A metric of `cohort_trends`. Metrics that follow from other metrics are left out.
pub(super) struct Metric {
    pub name: &'static str,
    pub measure: Measure,
    /// Whether the metric is counted since the compared month. It covers one month only if the compared month is the month before.
    pub is_since_compared: bool,
}

const fn stock(name: &'static str) -> Metric {
    Metric { name, measure: Measure::Stock, is_since_compared: false }
}

const fn flow(name: &'static str) -> Metric {
    Metric { name, measure: Measure::Flow, is_since_compared: false }
}

const fn since_compared(name: &'static str) -> Metric {
    Metric { name, measure: Measure::Flow, is_since_compared: true }
}

pub(super) const METRICS: &[Metric] = &[
    stock("members"),
    stock("users"),
    stock("leads"),
    stock("active_members"),
    stock("unsubscribed"),
    stock("hard_bounced"),
    stock("marked_spam"),
    stock("active_rate"),
    stock("unsubscribed_rate"),
    flow("new_contacts"),
    flow("openers"),
    flow("conversations_opened"),
    flow("opener_rate"),
    since_compared("joined"),
    since_compared("returned"),
    since_compared("departed"),
    since_compared("departed_gone"),
    since_compared("newly_unsubscribed"),
    since_compared("converted_leads"),
    since_compared("churn_rate"),
    since_compared("quick_ratio"),
];

impl Metric {
    /// Whether the metric is a number of contacts or conversations, not a ratio.
    pub(super) fn is_count(&self) -> bool {
        COUNTS.contains(&self.name)
    }
}
