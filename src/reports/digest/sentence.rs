//! A cohort's month in a sentence.

use std::cmp::Ordering;

use super::words::{grouped, percent};
use domain::Month;

/// A cohort's month, as the sentence needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MonthOfCohort<'a> {
    pub name: &'a str,
    pub month: Month,
    pub observed: Observed,
    pub members: i64,
    /// The compared month and the changes since then; `None` if there is no compared month.
    pub compared: Option<Compared>,
    /// How many months in a row, up to this one, the number of members grew (positive) or fell (negative).
    pub streak: i64,
}

/// How the month was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// The month was observed at its end and completely. It belongs to the cohort's history.
    Whole,
    /// The month was observed at its end, but incompletely.
    Incomplete,
    /// The month was observed before its end, or too late after it.
    AnotherTime,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub month: Month,
    pub members: i64,
    pub joined: i64,
    pub departed: i64,
}

pub(super) fn sentence(cohort: &MonthOfCohort) -> String {
    let MonthOfCohort { name, members, streak, .. } = *cohort;
    let now = people(members);
    match cohort.observed {
        Observed::Whole => {}
        Observed::Incomplete => return format!("{name} has {now}, as far as they came; it is compared with nothing."),
        Observed::AnotherTime => return format!("{name} has {now}; it was not seen at the month's end, and is compared with nothing."),
    }
    let Some(Compared { month, members: before, joined, departed }) = cohort.compared else {
        return format!("{name} has {now}; no earlier month was seen at its end to compare with.");
    };
    let since = if month.next() == cohort.month { String::new() } else { format!(" since {month}") };
    let lost = match departed {
        0 => "lost nobody".to_string(),
        _ => format!("lost {} of {} ({})", grouped(departed), people(before), percent(departed as f64 / before.max(1) as f64)),
    };
    let gained = if joined == 0 { "gained nobody".to_string() } else { format!("gained {}", grouped(joined)) };
    let in_a_row = series(streak);
    match joined.cmp(&departed) {
        Ordering::Equal if joined == 0 && members == 0 => {
            let before = if since.is_empty() { " the month before" } else { since.as_str() };
            format!("{name} has no members, and had none{before}.")
        }
        Ordering::Equal if joined == 0 => format!("{name} kept all of its {now}{since}."),
        Ordering::Equal => format!("{name} {lost} and gained the same number{since}: {now} now."),
        Ordering::Less => format!("{name} {lost} and {gained}{since}: {now} now{in_a_row}."),
        Ordering::Greater => format!("{name} {gained} and {lost}{since}: {now} now{in_a_row}."),
    }
}

fn people(members: i64) -> String {
    format!("{} {}", grouped(members), if members == 1 { "member" } else { "members" })
}

/// A streak in words, such as ", its third falling month in a row". Empty for the first month.
fn series(streak: i64) -> String {
    const ORDINALS: [&str; 9] = ["second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    let which = if streak < 0 { "falling" } else { "growing" };
    match streak.unsigned_abs() as usize {
        0 | 1 => String::new(),
        months @ 2..=10 => format!(", its {} {which} month in a row", ORDINALS[months - 2]),
        months => format!(", {which} for {months} months in a row"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence_of(before: i64, joined: i64, departed: i64, streak: i64) -> String {
        let month: Month = "2026-10".parse().unwrap();
        let compared = Some(Compared { month: month.previous(), members: before, joined, departed });
        sentence(&MonthOfCohort { name: "VIP", month, observed: Observed::Whole, members: before + joined - departed, compared, streak })
    }

    #[test]
    fn a_sentence_says_who_came_and_left() {
        assert_eq!(
            sentence_of(1_940, 0, 212, -3),
            "VIP lost 212 of 1,940 members (10.9 %) and gained nobody: 1,728 members now, its third falling month in a row."
        );
        assert_eq!(sentence_of(100, 30, 10, 1), "VIP gained 30 and lost 10 of 100 members (10.0 %): 120 members now.");
        assert_eq!(sentence_of(100, 30, 0, 12), "VIP gained 30 and lost nobody: 130 members now, growing for 12 months in a row.");
        assert_eq!(sentence_of(100, 5, 5, 0), "VIP lost 5 of 100 members (5.0 %) and gained the same number: 100 members now.");
        assert_eq!(sentence_of(1, 0, 0, 0), "VIP kept all of its 1 member.");
        assert_eq!(sentence_of(1, 0, 1, -1), "VIP lost 1 of 1 member (100.0 %) and gained nobody: 0 members now.");
        assert_eq!(sentence_of(2, 0, 1, -1), "VIP lost 1 of 2 members (50.0 %) and gained nobody: 1 member now.");
        assert_eq!(sentence_of(0, 0, 0, 0), "VIP has no members, and had none the month before.");
        assert_eq!(sentence_of(0, 3, 0, 2), "VIP gained 3 and lost nobody: 3 members now, its second growing month in a row.");
    }

    #[test]
    fn a_sentence_says_that_there_is_no_comparison_or_a_gap() {
        let month: Month = "2026-10".parse().unwrap();
        let first = MonthOfCohort { name: "VIP", month, observed: Observed::Whole, members: 7, compared: None, streak: 0 };
        assert_eq!(sentence(&first), "VIP has 7 members; no earlier month was seen at its end to compare with.");
        let incomplete = MonthOfCohort { observed: Observed::Incomplete, ..first };
        assert_eq!(sentence(&incomplete), "VIP has 7 members, as far as they came; it is compared with nothing.");
        let late = MonthOfCohort { observed: Observed::AnotherTime, ..first };
        assert_eq!(sentence(&late), "VIP has 7 members; it was not seen at the month's end, and is compared with nothing.");
        let compared = Some(Compared { month: "2026-07".parse().unwrap(), members: 9, joined: 0, departed: 2 });
        let over_a_gap = MonthOfCohort { compared, ..first };
        assert_eq!(sentence(&over_a_gap), "VIP lost 2 of 9 members (22.2 %) and gained nobody since 2026-07: 7 members now.");
    }
}
