//! A small chart of a few values within a line of text. It is static SVG, so it can be printed and needs no script.

use maud::{Markup, html};

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
/// Margin for the width of the line and its last dot.
const MARGIN: f64 = 3.0;

/// Draws the values, beginning with the first known value. Empty if fewer than two are known. A missing value is a gap.
pub(super) fn trend_line(values: &[Option<i64>], label: &str) -> Markup {
    let values = &values[values.iter().position(Option::is_some).unwrap_or_default()..];
    let known = || values.iter().flatten();
    let (Some(low), Some(high)) = (known().min(), known().max()) else { return html! {} };
    if known().count() < 2 {
        return html! {};
    }
    let (low, span) = (*low as f64, (*high as f64 - *low as f64).max(1.0));
    let steps = (values.len() - 1).max(1) as f64;
    let place = |index: usize, value: i64| {
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * index as f64 / steps;
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (value as f64 - low) / span;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line() {
        let drawn = trend_line(&[None, Some(0), Some(10), None, Some(5)], "members").into_string();
        assert!(drawn.contains(r#"d="M3.0 21.0L33.0 3.0M93.0 12.0""#), "{drawn}");
        assert!(drawn.contains(r#"aria-label="members""#));
        assert_eq!(trend_line(&[None, Some(1)], "").into_string(), "");
        assert!(trend_line(&[Some(i64::MIN), Some(i64::MAX)], "").into_string().contains("M3.0 21.0L93.0 3.0"));
    }
}
