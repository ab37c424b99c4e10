//! The frame of a page: its head, and its Content-Security-Policy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
/// Apache ECharts 6.1.0 from its npm package; the licence is in the same folder.
const CHARTS: &str = include_str!("assets/echarts/echarts.min.js");

/// The size in bytes of a page with charts but without its body, plus some reserve.
pub(super) const FRAME_BYTES: usize = CHARTS.len() + SCRIPT.len() + STYLE.len() + 4096;

/// A page with charts. The script draws them from `figures`, which is JSON that is [`escaped`].
pub(super) fn with_charts(title: &str, body: &Markup, figures: &str) -> String {
    let data = html! { script type="application/json" id="figures" { (PreEscaped(figures)) } };
    let scripts = html! { (data) script { (PreEscaped(CHARTS)) } script { (PreEscaped(SCRIPT)) } };
    document(title, &policy(&[CHARTS, SCRIPT]), body, Some(&scripts))
}

/// A page without scripts.
pub(super) fn without_script(title: &str, body: &Markup) -> String {
    document(title, &policy(&[]), body, None)
}

fn document(title: &str, policy: &str, body: &Markup, scripts: Option<&Markup>) -> String {
    let document = html! {
        (DOCTYPE)
        // The class hides the charts. The script draws the charts and removes the class.
        html lang="en" class=[scripts.map(|_| "no-script")] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { (body) @if let Some(scripts) = scripts { (scripts) } }
        }
    };
    document.into_string() + "\n"
}

/// Nothing may be loaded, sent or embedded. Only these scripts run, and only this style is applied.
fn policy(scripts: &[&str]) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let scripts: Vec<String> = scripts.iter().map(|script| hash(script)).collect();
    let scripts = if scripts.is_empty() { "'none'".to_string() } else { scripts.join(" ") };
    format!("default-src 'none'; script-src {scripts}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'", hash(STYLE))
}

/// JSON in which no text can end an element or begin a comment.
pub(super) fn escaped(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_the_figures_end_nothing() {
        let json = serde_json::json!({ "name": "</script><!--<script>&amp;" });
        let text = escaped(&json);
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json);
    }

    #[test]
    fn nothing_in_the_assets_ends_their_element() {
        for asset in [CHARTS, SCRIPT, STYLE] {
            // A browser normalises carriage returns, and then the hash would differ.
            assert!(["</script", "</style", "<!--", "\r"].iter().all(|end| !asset.contains(end)));
        }
    }
}
