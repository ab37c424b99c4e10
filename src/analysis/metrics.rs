//! The counts of a cohort's month, and the rates that follow from them: what `cohort_summary` shows for one month and
//! `cohort_trends` over all of them.

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
    "net_change",
    "newly_unsubscribed",
    "converted_leads",
];

/// `part / whole`; null where the whole is 0 or either is null.
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

/// The counts that say how many there are, not how many came or did something: what is there one month is mostly still
/// there the next, so that their trend is judged by their changes.
pub(super) const STOCKS: &[&str] = &["members", "users", "leads", "unsubscribed", "hard_bounced", "marked_spam"];
