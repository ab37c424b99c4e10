//! Whether two names of groups look alike. All comparisons of names other than equality are here.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

const DOT_ABOVE: char = '\u{307}';
/// This character looks like a blank, but Unicode does not class it as whitespace.
const BRAILLE_BLANK: char = '\u{2800}';
/// The invisible characters after this one select the flag. The flags of England and Scotland differ only in these characters.
const BLACK_FLAG: char = '\u{1F3F4}';
const FLAG_SPELLING: std::ops::RangeInclusive<char> = '\u{E0020}'..='\u{E007F}';

/// A key that is equal for names that look alike. It is the name after NFKC case folding, without invisible characters, without blanks at
/// the ends, and with each run of blanks as one space. The key is empty when the whole name is invisible.
///
/// `İ`, `I`, `ı` and `i` count as the same letter. The pairs of capital and small letter depend on the language (in Turkish, `I` is the
/// capital of `ı`), and the language of a name is unknown. Folding alone would also leave a dot over the `i` of `İ`.
pub fn name_key(name: &str) -> String {
    let has_flag = name.contains(BLACK_FLAG);
    // Full case folding with the tables of the standard library. The first step handles capitals whose lower-case letter has another
    // capital (`ẞ`). The second step handles lower-case letters that share a capital (`ς` and `ſ`, and `ß` as SS).
    let folded = name.nfkd().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let seen = folded.filter(|c| !is_invisible(*c, has_flag)).nfkd();
    let mut letter = ' ';
    let without_dots = seen.filter(|c| {
        if !is_combining_mark(*c) {
            letter = *c;
        }
        // The letters `i` and `j` already have a dot.
        *c != DOT_ABOVE || !matches!(letter, 'i' | 'j')
    });
    with_single_blanks(without_dots)
}

/// Whether two names are equal except for case, forms of letters, blanks and invisible characters; see [`name_key`].
pub fn are_alike(one: &str, other: &str) -> bool {
    let key = name_key(one);
    !key.is_empty() && key == name_key(other)
}

/// The first difference between two names that look the same but are not equal, for example `U+0406 in place of U+0049`. It may be a
/// letter of another script, another kind of blank, or an invisible character. `None` when the names are equal or differ visibly.
pub fn unseen_difference(given: &str, shown: &str) -> Option<String> {
    let looks = |name: &str| {
        let has_flag = name.contains(BLACK_FLAG);
        let seen = with_single_blanks(name.chars().filter(|c| !is_invisible(*c, has_flag)));
        skeleton(&seen).collect::<String>()
    };
    if given == shown || looks(given) != looks(shown) {
        return None;
    }
    let (mut given, mut shown) = (given.chars(), shown.chars());
    let code = |c: Option<char>| c.map_or("nothing".to_string(), |c| format!("U+{:04X}", u32::from(c)));
    loop {
        let (expected, found) = (given.next(), shown.next());
        if expected != found {
            return Some(format!("{} in place of {}", code(found), code(expected)));
        }
        // Both names ended without a difference, so they are equal.
        found?;
    }
}

/// The end of a message that suggests the name `shown` in place of `given`. If the two only look the same, the message says so.
pub fn did_you_mean(given: &str, shown: &str) -> String {
    match unseen_difference(given, shown) {
        Some(difference) => format!("; did you mean `{shown}`? It looks the same, but its characters differ: {difference}."),
        None => format!("; did you mean `{shown}`?"),
    }
}

/// Whether a character is invisible: a control character, or one that Unicode ignores by default (joiners, selectors, soft hyphens).
fn is_invisible(c: char, has_flag: bool) -> bool {
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    (is_ignorable && !(has_flag && FLAG_SPELLING.contains(&c))) || (c.is_control() && !c.is_whitespace())
}

fn with_single_blanks(chars: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    let mut is_apart = false;
    for c in chars {
        if c.is_whitespace() || c == BRAILLE_BLANK {
            is_apart = !text.is_empty();
            continue;
        }
        if is_apart {
            text.push(' ');
            is_apart = false;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_that_differ_in_case_form_blanks_or_what_is_invisible() {
        let cases: [&[&str]; 17] = [
            &["Café Bélair", "Cafe\u{301} Be\u{301}lair", "CAFÉ BÉLAIR"],
            &["churn risk", "churn\u{a0}risk", " Churn  Risk ", "churn\t\u{2003}risk\n", "churn\u{3000}risk", "churn\u{2800}risk"],
            &["\u{2764} fans", "\u{2764}\u{fe0f} fans", "\u{2764}\u{fe0e} FANS"],
            &["VIP", "VIP\u{200b}", "\u{feff}vip", "V\u{ad}I\u{200d}P", "v\u{0}ip\u{7f}", "ＶＩＰ", "ⅤIP", "𝐕𝐈𝐏", "\u{200e}VIP\u{200f}"],
            &["straße", "STRASSE", "STRAẞE", "strasse"],
            &["İSTANBUL", "istanbul", "ISTANBUL", "i\u{307}stanbul", "ıstanbul", "I\u{307}stanbul"],
            &["Işık", "IŞIK", "ışık", "işik", "İŞİK"],
            &["ΣΊΣΥΦΟΣ", "σίσυφος", "σίσυφοσ"],
            &["ﬁnance", "FINANCE"],
            &["Ångström", "A\u{30a}ngstro\u{308}m", "\u{212b}ngström"],
            &["30 K", "30 \u{212a}", "30 k"],
            &["ﾃｽﾄ", "テスト"],
            &["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"],
            // An invisible character keeps the two marks apart. Without it, the marks are put in order.
            &["a\u{301}\u{34f}\u{323}", "a\u{323}\u{301}"],
            &["e\u{200b}\u{301}", "é"],
            &["i\u{307}\u{301}", "í"],
            &["ŉ ǰ ΐ", "ʼN J\u{30c} Ϊ\u{301}"],
        ];
        for (number, names) in cases.iter().enumerate() {
            for name in *names {
                assert!(are_alike(name, names[0]) && are_alike(names[0], name), "{name:?} and {:?}", names[0]);
                for (_, others) in cases.iter().enumerate().filter(|(other, _)| *other != number) {
                    assert!(!are_alike(name, others[0]), "{name:?} and {:?}", others[0]);
                }
            }
        }
    }

    #[test]
    fn names_that_only_resemble_each_other_are_not_alike() {
        let england = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
        let scotland = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";
        let different = [
            ("VIP", "V I P"),
            ("VIP", "V\u{406}P"),
            ("café", "cafe"),
            ("o", "0"),
            (england, scotland),
            ("", "\u{200b}"),
            ("\u{200b}", " "),
        ];
        for (one, other) in different {
            assert!(!are_alike(one, other), "{one:?} and {other:?}");
        }
        assert!(are_alike(england, &format!("{england}\u{fe0f}")));
    }

    #[test]
    fn the_key_of_a_key_is_itself() {
        // These characters are for private use, or in planes without assigned characters.
        let is_unused = |c: char| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{40000}'..='\u{dffff}' | '\u{f0000}'..);
        for c in ('\0'..=char::MAX).filter(|c| !is_unused(*c)) {
            let key = name_key(&format!("a{c}z"));
            assert_eq!(name_key(&key), key, "{c:?}");
        }
    }

    #[test]
    fn a_difference_that_nobody_sees_is_named() {
        assert_eq!(unseen_difference("VIP", "V\u{406}P").as_deref(), Some("U+0406 in place of U+0049"));
        assert_eq!(unseen_difference("VIP", "VIP\u{200b}").as_deref(), Some("U+200B in place of nothing"));
        assert_eq!(unseen_difference("VIP\u{200b}", "VIP").as_deref(), Some("nothing in place of U+200B"));
        assert_eq!(unseen_difference("churn risk", "churn\u{a0}risk").as_deref(), Some("U+00A0 in place of U+0020"));
        assert_eq!(unseen_difference("e\u{301}", "é").as_deref(), Some("U+00E9 in place of U+0065"));
        for (given, shown) in [("VIP", "VIP"), ("vip", "VIP"), ("valu_lead", "value_lead"), ("", "")] {
            assert_eq!(unseen_difference(given, shown), None, "{given} and {shown}");
        }
    }
}
