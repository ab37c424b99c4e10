//! Names as 1.x sends them. Some of them are escaped for HTML.

use compact_str::CompactString;

/// The named entities that escaping for HTML produces, besides numeric entities. Other entities stay: a `&copy;` in a name was typed by a
/// person. So a crate that replaces all HTML entities would be wrong here.
const NAMED: [(&str, char); 5] = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];

/// The length of the longest entity in bytes, without `&` and `;`. Escaping never produces a longer entity, even with leading zeros.
const LONGEST: usize = 10;

/// Undoes one level of escaping: `&amp;#39;` becomes `&#39;`. An `&` that does not start an entity stays.
pub(super) fn unescaped(name: CompactString) -> CompactString {
    let Some(first) = name.find('&') else { return name };
    let mut text = CompactString::with_capacity(name.len());
    text.push_str(&name[..first]);
    let mut rest = &name[first..];
    while let Some(start) = rest.find('&') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        match entity(rest) {
            Some((character, length)) => {
                text.push(character);
                rest = &rest[length..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

/// The character of the entity at the start of a text, and the entity's length in bytes. `None` if the text does not start with an entity.
fn entity(text: &str) -> Option<(char, usize)> {
    let inner = text.strip_prefix('&')?;
    // The search is bounded: a long name may contain many `&` and no `;`.
    let end = inner.bytes().take(LONGEST + 1).position(|byte| byte == b';')?;
    let inner = &inner[..end];
    let character = match inner.strip_prefix('#') {
        Some(number) => {
            let (digits, radix) = match number.strip_prefix(['x', 'X']) {
                Some(digits) => (digits, 16),
                None => (number, 10),
            };
            // `from_str_radix` would accept a sign.
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, radix).ok().filter(|code| is_plain && *code != 0).and_then(char::from_u32)
        }
        None => NAMED.iter().find(|(name, _)| *name == inner).map(|(_, character)| *character),
    };
    Some((character?, inner.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_of_escaping_is_undone() {
        let cases = [
            ("O&#39;Brien", "O'Brien"),
            ("O&#x27;Brien", "O'Brien"),
            ("O&#X27;Brien", "O'Brien"),
            ("O&#0039;Brien", "O'Brien"),
            ("O&apos;Brien", "O'Brien"),
            ("Tom &amp; Jorla &lt;Quend&gt; &quot;Q&quot;", "Tom & Jorla <Quend> \"Q\""),
            ("O&amp;#39;Brien", "O&#39;Brien"),
            ("&amp;amp;", "&amp;"),
            ("&#128512;&#x1F600;", "\u{1F600}\u{1F600}"),
            ("&#39;", "'"),
            ("", ""),
        ];
        for (sent, name) in cases {
            assert_eq!(unescaped(sent.into()), name, "{sent}");
        }
    }

    #[test]
    fn text_without_entities_stays() {
        for name in [
            "R&D",
            "R & D",
            "&",
            "&;",
            "&#;",
            "&#x;",
            "a && b",
            "&copy;",
            "&AMP;",
            "&#39",
            "&amp",
            "&#0;",
            "&#xD800;",
            "&#1114112;",
            "&#+39;",
            "&#-39;",
            "&#x+27;",
            "&#4294967335;",
            "&#99999999999999999999;",
            "&# 39;",
            "&é;",
            "fish & chips; tea",
        ] {
            assert_eq!(unescaped(name.into()), name);
        }
    }
}
