//! Repairs bodies that are valid JSON except for a few texts or numbers. One bad record must not make the whole page fail. So each invalid
//! character is replaced, and the rest of the page is decoded as it is.

use super::lenient::count;

/// A repaired body, and the counts of the texts and of the numeric values that were repaired in it.
pub(super) struct Repaired {
    pub body: Vec<u8>,
    texts: u64,
    numbers: u64,
}

impl Repaired {
    /// Counts the replacements as oddities. Call this after the repaired body was decoded.
    pub(super) fn count(&self) {
        count(|oddities| {
            oddities.texts_repaired += self.texts;
            oddities.fields_mistyped += self.numbers;
        });
    }
}

/// The character that replaces an invalid one.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// The body with U+FFFD in place of invalid characters. Invalid are bytes that are no UTF-8, half a surrogate pair, a control character,
/// and a backslash that starts no escape. Numbers beyond the range of `f64` become null. `None` when there is nothing to repair.
pub(super) fn repaired(body: &[u8]) -> Option<Repaired> {
    let mut repaired = Repaired { body: Vec::with_capacity(body.len()), texts: 0, numbers: 0 };
    let (mut at, mut is_in_text, mut is_changed) = (0, false, false);
    while at < body.len() {
        let rest = &body[at..];
        at += match (is_in_text, rest[0]) {
            (_, b'"') => {
                repaired.texts += u64::from(std::mem::take(&mut is_changed));
                is_in_text = !is_in_text;
                repaired.take(&rest[..1])
            }
            (true, _) => match character(rest) {
                Character::Valid(length) => repaired.take(&rest[..length]),
                Character::Invalid(length) => {
                    is_changed = true;
                    repaired.body.extend_from_slice(REPLACEMENT);
                    length
                }
            },
            (false, b'-' | b'0'..=b'9') => {
                let number = number(rest);
                if is_too_large(number) {
                    repaired.numbers += 1;
                    repaired.body.extend_from_slice(b"null");
                    number.len()
                } else {
                    repaired.take(number)
                }
            }
            (false, _) => repaired.take(&rest[..1]),
        };
    }
    (repaired.texts + repaired.numbers > 0).then_some(repaired)
}

impl Repaired {
    fn take(&mut self, bytes: &[u8]) -> usize {
        self.body.extend_from_slice(bytes);
        bytes.len()
    }
}

/// The first character of a text, valid or not, with the number of its bytes.
enum Character {
    Valid(usize),
    Invalid(usize),
}

fn character(rest: &[u8]) -> Character {
    match rest[0] {
        b'\\' => escape(rest),
        0x00..=0x1f => Character::Invalid(1),
        0x20..=0x7f => Character::Valid(1),
        // No character has more than four bytes.
        _ => match rest[..rest.len().min(4)].utf8_chunks().next() {
            Some(chunk) => match chunk.valid().chars().next() {
                Some(character) => Character::Valid(character.len_utf8()),
                None => Character::Invalid(chunk.invalid().len()),
            },
            None => Character::Invalid(1),
        },
    }
}

fn escape(rest: &[u8]) -> Character {
    match (rest.get(1), code_unit(rest)) {
        // These are both halves of a surrogate pair.
        (_, Some(0xD800..=0xDBFF)) if code_unit(&rest[6..]).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low)) => Character::Valid(12),
        (_, Some(0xD800..=0xDFFF)) => Character::Invalid(6),
        (_, Some(_)) => Character::Valid(6),
        (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), None) => Character::Valid(2),
        _ => Character::Invalid(1),
    }
}

/// The value of a `\u` escape at the start. `None` if the text does not start with one.
fn code_unit(rest: &[u8]) -> Option<u16> {
    let digits = rest.get(..6)?.strip_prefix(b"\\u")?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| is_hex).and_then(|digits| u16::from_str_radix(digits, 16).ok())
}

/// The bytes of the number at the start.
fn number(rest: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    &rest[..rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len())]
}

fn is_too_large(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &[u8]) -> Option<(String, u64, u64)> {
        repaired(body).map(|Repaired { body, texts, numbers }| (String::from_utf8(body).unwrap(), texts, numbers))
    }

    #[test]
    fn invalid_characters_are_replaced_and_each_text_is_counted_once() {
        for (odd, expected) in [
            (&b"x\xffy\xc3"[..], "x\u{fffd}y\u{fffd}"),
            (b"\xe2\x82x\xf0\x9f\x98", "\u{fffd}x\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (br"\ud800 \udc00\ud83d\ude00\ud83d", "\u{fffd} \u{fffd}\\ud83d\\ude00\u{fffd}"),
            (br"\\ud800 \ud800\n", "\\\\ud800 \u{fffd}\\n"),
            (b"a\tb\n\0", "a\u{fffd}b\u{fffd}\u{fffd}"),
            (br"\x \u12G4 \u+123 \'", "\u{fffd}x \u{fffd}u12G4 \u{fffd}u+123 \u{fffd}'"),
        ] {
            let body = [b"{\"a\": \"", odd, b"\", \"\xc3\xa9\": 1}"].concat();
            assert_eq!(of(&body), Some((format!("{{\"a\": \"{expected}\", \"é\": 1}}"), 1, 0)), "{odd:?}");
        }
        assert_eq!(of(b"{\"\xff\": \"\xff\", \"b\": \"\xff\"}").map(|(_, texts, _)| texts), Some(3), "keys are texts, too");
    }

    #[test]
    fn a_number_out_of_range_becomes_null() {
        let long = "9".repeat(400);
        let body = format!("[1e999,-1E+400, {long},1e308,-0.5,\"1e999\"]");
        assert_eq!(of(body.as_bytes()), Some(("[null,null, null,1e308,-0.5,\"1e999\"]".to_string(), 0, 3)));
    }

    #[test]
    fn other_invalid_json_is_not_repaired() {
        for body in [&b"{\"a\": tru}"[..], b"{\"a\": \"b", b"\xff\xfe", b"", b"{\"a\": \"\\\"\\u00e9\\/\"} \\ud800"] {
            assert_eq!(of(body), None, "{body:?}");
        }
    }
}
