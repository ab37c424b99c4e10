//! Small charts within a line of text or on a card: a few months, or two values. They are static SVG, so they can be printed and need no
//! script.

use maud::{Markup, html};

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
/// Margin for the width of the line and its last dot.
const MARGIN: f64 = 3.0;
/// The size of two bars with their texts.
const PAIR_WIDTH: f64 = 260.0;
const PAIR_HEIGHT: f64 = 29.0;

/// Draws the values, beginning with the first known value. Empty if fewer than two are known. A missing value is a gap.
pub(super) fn trend_line(values: &[Option<f64>], label: &str) -> Markup {
    let values = &values[values.iter().position(Option::is_some).unwrap_or_default()..];
    let known = || values.iter().flatten().copied();
    if known().count() < 2 {
        return html! {};
    }
    let low = known().fold(f64::INFINITY, f64::min);
    let span = known().fold(f64::NEG_INFINITY, f64::max) - low;
    // If all values are equal, the line is at the bottom.
    let span = if span > 0.0 { span } else { 1.0 };
    let steps = (values.len() - 1).max(1) as f64;
    let place = |index: usize, value: f64| {
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * index as f64 / steps;
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (value - low) / span;
        (x, y)
    };
    let mut path = String::new();
    let mut last = None;
    let mut is_drawing = false;
    for (index, value) in values.iter().enumerate() {
        is_drawing = match value {
            Some(value) => {
                let (x, y) = place(index, *value);
                path.push_str(&format!("{}{x:.1} {y:.1}", if is_drawing { "L" } else { "M" }));
                last = Some((x, y));
                true
            }
            None => false,
        };
    }
    html! {
        svg class="trend" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img" aria-label=(label) {
            path d=(path) {}
            @if let Some((x, y)) = last { circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="2.5" {} }
        }
    }
}

/// Draws two values as horizontal bars from zero, with a text after each bar. `meaning` selects the colour of the first bar.
pub(super) fn pair(values: [f64; 2], texts: &[String; 2], meaning: &str) -> Markup {
    let most = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let width = |value: f64| if most > 0.0 { (WIDTH * value.abs() / most).max(1.0) } else { 1.0 };
    html! {
        svg class=(format!("pair {meaning}")) viewBox=(format!("0 0 {PAIR_WIDTH} {PAIR_HEIGHT}")) width=(PAIR_WIDTH) height=(PAIR_HEIGHT)
            role="img" aria-label=(texts.join(", "))
        {
            @for ((y, value), text) in [1.0, 16.0].into_iter().zip(values).zip(texts) {
                rect x="0" y=(y) width=(format!("{:.1}", width(value))) height="12" {}
                text x=(format!("{:.1}", width(value) + 5.0)) y=(y + 10.0) { (text) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line() {
        let drawn = trend_line(&[None, Some(0.0), Some(10.0), None, Some(5.0)], "members").into_string();
        assert!(drawn.contains(r#"d="M3.0 21.0L33.0 3.0M93.0 12.0""#), "{drawn}");
        assert!(drawn.contains(r#"aria-label="members""#));
        assert_eq!(trend_line(&[None, Some(1.0)], "").into_string(), "");
        assert!(trend_line(&[Some(i64::MIN as f64), Some(i64::MAX as f64)], "").into_string().contains("M3.0 21.0L93.0 3.0"));
        assert!(trend_line(&[Some(0.2), Some(0.3)], "").into_string().contains("M3.0 21.0L93.0 3.0"));
    }

    #[test]
    fn two_values_are_bars_from_zero() {
        let texts = ["50 % members".to_string(), "10 % others".to_string()];
        let drawn = pair([0.5, 0.1], &texts, "other").into_string();
        assert!(drawn.contains(r#"width="96.0""#) && drawn.contains(r#"width="19.2""#), "{drawn}");
        assert!(drawn.contains(">10 % others<") && drawn.contains(r#"aria-label="50 % members, 10 % others""#), "{drawn}");
        assert!(pair([0.0, 0.0], &texts, "other").into_string().contains(r#"width="1.0""#));
    }
}
