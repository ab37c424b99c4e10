//! Numbers and names as people read them.

use domain::Month;

/// Longer names and values are cut.
pub const NAME_LENGTH: usize = 60;

/// Writes 12345 as 12,345.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Replaces control characters by blanks. Names are data, and a line break would break a table or a sentence.
pub fn one_line(name: &str) -> String {
    name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The first characters up to this length, and `…` if there are more.
pub fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A share as "10.9 %".
pub fn percent(share: f64) -> String {
    percent_to(share, 1)
}

pub(super) fn percent_to(share: f64, places: usize) -> String {
    format!("{} %", decimal(share * 100.0, places))
}

/// A number with this many decimal places, and never "-0.0".
pub fn decimal(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_string(),
        _ => text,
    }
}

/// The name of a profile attribute for people, without `custom_attributes.`.
pub fn attribute_name(attribute: &str) -> String {
    shortened(&one_line(attribute.strip_prefix("custom_attributes.").unwrap_or(attribute)), NAME_LENGTH)
}

/// A metric of `cohort_trends` in words.
pub fn metric_name(metric: &str) -> String {
    metric.replace('_', " ")
}

/// A number without trailing zeros: 20, 2.5, 0.25.
pub fn plain(number: f64) -> String {
    let text = decimal(number, 2);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Numbers up to twelve as a word.
pub(super) fn number_word(number: usize) -> String {
    const WORDS: [&str; 13] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    WORDS.get(number).map_or_else(|| number.to_string(), |word| (*word).to_string())
}

/// The month for people: October 2026.
pub fn month_name(month: Month) -> String {
    month.first_day().format("%B %Y").to_string()
}

/// Draws values as bars between the lowest and the highest, with a dot for a missing one. Empty if there are fewer than two
/// values.
pub fn sparkline(values: &[Option<i64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten();
    let (Some(low), Some(high)) = (known().min(), known().max()) else { return String::new() };
    if known().count() < 2 {
        return String::new();
    }
    let first = values.iter().position(Option::is_some).unwrap_or_default();
    let bar = |value: &Option<i64>| match value {
        None => '·',
        // If all values are equal, the line is in the middle.
        Some(_) if low == high => BARS[3],
        // The difference is computed in i128, because the difference of two i64 may not fit into an i64.
        Some(value) => {
            let above = i128::from(*value) - i128::from(*low);
            BARS[(above * (BARS.len() as i128 - 1) / (i128::from(*high) - i128::from(*low))) as usize]
        }
    };
    values[first..].iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 999, 1_000, -1_234_567, i64::MIN].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "-1,234,567", "-9,223,372,036,854,775,808"]);
    }

    #[test]
    fn shares_and_names_are_readable() {
        assert_eq!([0.109_2, -0.000_2, 1.0, -0.5].map(percent), ["10.9 %", "0.0 %", "100.0 %", "-50.0 %"]);
        assert_eq!([shortened("Größe", 3), shortened("Größe", 5), shortened("", 2)], ["Grö…", "Größe", ""]);
        assert_eq!([20.0, 2.5, 0.254, -0.001, 100.0].map(plain), ["20", "2.5", "0.25", "0", "100"]);
        assert_eq!([7, 12, 13].map(number_word), ["seven", "twelve", "13"]);
        assert_eq!(month_name("2026-10".parse().unwrap()), "October 2026");
        assert_eq!(one_line("a\nb\u{1b}[0m"), "a b [0m");
    }

    #[test]
    fn bars_are_between_the_lowest_and_the_highest() {
        assert_eq!(sparkline(&[None, Some(0), Some(7), None, Some(14)]), "▁▄·█");
        assert_eq!(sparkline(&[Some(5), Some(5)]), "▄▄");
        assert_eq!(sparkline(&[None, Some(5)]), "");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[Some(i64::MIN), Some(0), Some(i64::MAX)]), "▁▄█");
    }
}
