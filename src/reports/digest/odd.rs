//! Puts an odd month into words: the counted value, and the expected one.

use super::words::{decimal, grouped, percent_to};

/// In each line, the first metric implies the others. If the first is odd, the others are not mentioned.
const IMPLIED: &[&[&str]] = &[
    &["members", "users", "leads", "active_members", "joined", "quick_ratio"],
    &["joined", "returned", "new_contacts", "quick_ratio"],
    &["departed", "churn_rate", "departed_gone"],
    &["openers", "opener_rate", "conversations_opened"],
    &["unsubscribed", "unsubscribed_rate", "newly_unsubscribed"],
];

/// Whether another metric implies this one. `odd` are all odd metrics of a cohort's month.
pub fn is_implied_by(metric: &str, odd: &[&str]) -> bool {
    IMPLIED.iter().any(|line| line.split_first().is_some_and(|(first, implied)| implied.contains(&metric) && odd.contains(first)))
}

/// An odd value in words, such as "424 opened a conversation, 60 to 130 were expected".
pub fn odd(metric: &str, value: f64, low: f64, high: f64) -> String {
    let was = counted(metric, value);
    // No count or share below 0 can be expected, and no share over 1.
    let most = if is_share(metric) { 1.0 } else { f64::MAX };
    let [low, high] = [low, high].map(|end| end.clamp(0.0, most));
    let (value, low, high) = distinct(metric, value, low, high);
    let expected = if low == high { format!("about {low}") } else { format!("{low} to {high}") };
    format!("{value} {was}, {expected} were expected")
}

fn is_share(metric: &str) -> bool {
    metric.ends_with("_rate")
}

/// The value and both ends as text, with enough decimal places to show that the value differs from the ends.
fn distinct(metric: &str, value: f64, low: f64, high: f64) -> (String, String, String) {
    const PLACES: std::ops::RangeInclusive<usize> = 1..=4;
    let texts = |places: usize| match metric {
        "quick_ratio" => [value, low, high].map(|number| decimal(number, places)),
        metric if is_share(metric) => [value, low, high].map(|number| percent_to(number, places)),
        // Counts are floats in `cohort_trends`.
        _ => [value, low, high].map(|number| grouped(number.round() as i64)),
    };
    let differs = |[value, low, high]: &[String; 3]| value != low && value != high;
    let [value, low, high] = PLACES.map(texts).find(differs).unwrap_or_else(|| texts(1));
    (value, low, high)
}

/// The words for what the metric counts. They follow the number.
fn counted(metric: &str, value: f64) -> String {
    let is_one = value.round() == 1.0;
    let or = |one: &str, many: &str| if is_one { one.to_string() } else { many.to_string() };
    match metric {
        "members" => or("member", "members"),
        "users" => or("user", "users"),
        "leads" => or("lead", "leads"),
        "active_members" | "active_rate" => or("was active", "were active"),
        "unsubscribed" => or("is unsubscribed", "are unsubscribed"),
        "unsubscribed_rate" => "are unsubscribed".to_string(),
        "hard_bounced" => or("has an address that bounced", "have an address that bounced"),
        "marked_spam" => "marked an e-mail as spam".to_string(),
        "new_contacts" => or("was created in the month", "were created in the month"),
        "openers" | "opener_rate" => "opened a conversation".to_string(),
        "conversations_opened" => or("conversation was opened", "conversations were opened"),
        "departed" | "churn_rate" => "departed".to_string(),
        "departed_gone" => "left the workspace".to_string(),
        "newly_unsubscribed" => "unsubscribed since the month before".to_string(),
        "converted_leads" => "turned from lead to user".to_string(),
        "quick_ratio" => "joined for each who departed".to_string(),
        // The metric is `joined` or `returned`.
        metric => metric.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_metrics_are_left_out() {
        let odd = ["members", "users", "joined", "quick_ratio", "openers", "opener_rate", "churn_rate"];
        let named: Vec<&str> = odd.into_iter().filter(|metric| !is_implied_by(metric, &odd)).collect();
        assert_eq!(named, ["members", "openers", "churn_rate"]);
    }

    #[test]
    fn the_counted_value_is_followed_by_the_expected_one() {
        let months = [
            ("openers", 424.0, 60.3, 129.9),
            ("members", 1.0, 20.0, 20.2),
            ("departed", 1_500.0, -12.0, 3.0),
            ("churn_rate", 0.25, -0.02, 0.051),
            ("active_rate", 0.041_2, 0.041_6, 0.042_1),
            ("opener_rate", 0.041_2, 0.041_3, 0.043),
            ("unsubscribed_rate", 0.5, 0.9, 1.2),
            ("quick_ratio", 0.5, 1.25, 2.0),
        ];
        assert_eq!(
            months.map(|(metric, value, low, high)| odd(metric, value, low, high)),
            [
                "424 opened a conversation, 60 to 130 were expected",
                "1 member, about 20 were expected",
                "1,500 departed, 0 to 3 were expected",
                "25.0 % departed, 0.0 % to 5.1 % were expected",
                "4.1 % were active, about 4.2 % were expected",
                "4.12 % opened a conversation, 4.13 % to 4.30 % were expected",
                "50.0 % are unsubscribed, 90.0 % to 100.0 % were expected",
                "0.5 joined for each who departed, 1.2 to 2.0 were expected",
            ]
        );
    }
}
