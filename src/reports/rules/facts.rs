//! The columns that every workspace's facts have.

use super::{FactColumn, FactKind};

const fn column(name: &'static str, kind: FactKind, about: &'static str) -> FactColumn {
    FactColumn { name, kind, about }
}

pub const CONVERSATIONS_OPENED: &str = "conversations_opened";
pub const NEWLY_UNSUBSCRIBED: &str = "newly_unsubscribed";
pub const MONTH_START: &str = "month_start";
pub const MONTH_END: &str = "month_end";

macro_rules! facts {
    ($($name:ident: $kind:ident, $use:ident, $about:literal, $null:literal;)*) => {
        /// The facts of a contact that a rule can use, besides its custom attributes and the job's groups. The first four depend on the
        /// month. The others are columns of the snapshot's `contacts`, with the same names.
        pub const FACTS: &[FactColumn] = &[
            column(CONVERSATIONS_OPENED, FactKind::Number, "conversations of the month that the contact opened; null if the job fetches none"),
            column(NEWLY_UNSUBSCRIBED, FactKind::Flag, "unsubscribed now and not in the compared month; null if there is no compared month"),
            column(MONTH_START, FactKind::Instant, "first instant of the month"),
            column(MONTH_END, FactKind::Instant, "first instant after the month"),
            column("role", FactKind::Text, "`user` or `lead`"),
            $(column(stringify!($name), FactKind::$kind, $about),)*
        ];
    };
}

domain::contact_fields!(facts);
