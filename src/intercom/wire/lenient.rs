//! Types for values that the API sends in more than one form.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use compact_str::{CompactString, ToCompactString};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use domain::{Number, Oddities};

/// A text. Numbers and flags are converted to text, equal numbers to equal texts. Null, lists and objects are `None`.
#[derive(Debug, Default)]
pub(crate) struct Text(pub Option<CompactString>);

/// A whole number, which may come as text. Anything else is `None`.
#[derive(Debug, Default)]
pub(crate) struct Whole(pub Option<u64>);

/// `true` or `false`. Anything else is `None`.
#[derive(Debug, Default)]
pub(crate) struct Flag(pub Option<bool>);

/// An object. Null and anything else are `None`.
#[derive(Debug)]
pub(crate) struct Nested<T>(pub Option<T>);

/// A list of objects. Null and anything else are `None`. Elements that are no objects are left out.
#[derive(Debug)]
pub(crate) struct Listed<T>(pub Option<Vec<T>>);

impl<T> Default for Nested<T> {
    fn default() -> Nested<T> {
        Nested(None)
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Listed<T> {
        Listed(None)
    }
}

/// A date as the API sent it.
#[derive(Debug, Default)]
pub(crate) enum Stamp {
    #[default]
    Null,
    Number(i64),
    Text(CompactString),
    Unreadable,
}

pub(crate) fn some(text: Option<Text>) -> Option<CompactString> {
    text?.0
}

/// The text as an allocated `String`, for texts that are rare.
pub(crate) fn owned(text: Option<Text>) -> Option<String> {
    some(text).map(CompactString::into_string)
}

/// A code or id that is safe to print: short, of letters, digits, '_', '-' and '.'.
pub(crate) fn plain_token(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!text.is_empty() && text.len() <= 80 && text.bytes().all(plain)).then(|| text.to_string())
}

/// Larger numbers are milliseconds. As seconds they would be after the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;

impl Stamp {
    pub(crate) fn instant(self, oddities: &mut Oddities) -> Option<DateTime<Utc>> {
        let instant = match self {
            Stamp::Null => return None,
            Stamp::Number(number) => from_number(number, oddities),
            Stamp::Text(text) => {
                let text = text.trim();
                if text.is_empty() {
                    return None;
                }
                oddities.dates_of_other_form += 1;
                match text.parse() {
                    Ok(number) => from_number(number, &mut Oddities::default()),
                    Err(_) => from_iso(text),
                }
            }
            Stamp::Unreadable => None,
        };
        match instant {
            None => oddities.dates_unreadable += 1,
            Some(instant) if instant.timestamp() < 0 => oddities.dates_before_1970 += 1,
            Some(_) => {}
        }
        instant
    }
}

fn from_number(number: i64, oddities: &mut Oddities) -> Option<DateTime<Utc>> {
    if number.unsigned_abs() <= SECONDS_MAX.unsigned_abs() {
        return DateTime::from_timestamp(number, 0);
    }
    oddities.dates_of_other_form += 1;
    // Larger numbers are unreadable. They might be microseconds, but these have not been seen from this API.
    (number.unsigned_abs() <= SECONDS_MAX.unsigned_abs() * 1_000).then(|| DateTime::from_timestamp_millis(number))?
}

fn from_iso(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.with_timezone(&Utc));
    let utc = || NaiveDateTime::parse_from_str(text.trim_end_matches('Z').trim_end_matches(" UTC"), "%Y-%m-%d %H:%M:%S").ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    zoned.or_else(|| utc().or_else(day).map(|naive| naive.and_utc()))
}

thread_local! {
    /// The oddities of the body that this thread is decoding. A body is decoded on one thread.
    static COUNTED: Cell<Oddities> = Cell::default();
}

/// Counts an oddity of the body that is being decoded.
pub(super) fn count(change: impl FnOnce(&mut Oddities)) {
    let mut counted = COUNTED.get();
    change(&mut counted);
    COUNTED.set(counted);
}

/// Decodes a body. If that fails, the oddities that were counted meanwhile are dropped, because the body may be decoded once more.
pub(crate) fn counting_when_good<T, E>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let before = COUNTED.get();
    decode().inspect_err(|_| COUNTED.set(before))
}

/// Decodes a body and returns its oddities: fields of another type than documented, repaired texts, and attributes that are nested too
/// deep.
pub(crate) fn counting<T>(decode: impl FnOnce() -> T) -> (T, Oddities) {
    COUNTED.take();
    let decoded = decode();
    (decoded, COUNTED.take())
}

/// Counts a value of another type than documented, and returns `none` in its place.
fn odd<T>(none: T) -> T {
    count(|oddities| oddities.fields_mistyped += 1);
    none
}

/// The visitor methods for all forms except lists and objects. Each of them returns `$none`.
macro_rules! ignore_scalars {
    ($type:ty, $none:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<$type, E> {
            Ok(odd($none))
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<$type, E> {
            Ok(odd($none))
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<$type, E> {
            Ok(odd($none))
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<$type, E> {
            Ok(odd($none))
        }
        fn visit_str<E: Error>(self, _: &str) -> Result<$type, E> {
            Ok(odd($none))
        }
        fn visit_unit<E: Error>(self) -> Result<$type, E> {
            Ok($none)
        }
    };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nested<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = Nested<T>;
            ignore_scalars!(Nested<T>, Nested(None));
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nested<T>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(odd(Nested(None)))
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Nested<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(|value| Nested(Some(value)))
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listed<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = Listed<T>;
            ignore_scalars!(Listed<T>, Listed(None));
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(Nested(value)) = list.next_element::<Nested<T>>()? {
                    values.extend(value);
                }
                Ok(Listed(Some(values)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Listed<T>, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(odd(Listed(None)))
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

/// A visitor that accepts every form: scalars are converted, lists and objects are skipped.
macro_rules! lenient {
    ($type:ident, bool: $bool:expr, int: $int:expr, large: $large:expr, float: $float:expr, text: $text:expr, none: $none:expr, odd: $odd:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Form;
                impl<'de> Visitor<'de> for Form {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("any value")
                    }
                    fn visit_bool<E: Error>(self, value: bool) -> Result<$type, E> {
                        Ok(($bool)(value))
                    }
                    fn visit_i64<E: Error>(self, value: i64) -> Result<$type, E> {
                        Ok(($int)(value))
                    }
                    fn visit_u64<E: Error>(self, value: u64) -> Result<$type, E> {
                        Ok(i64::try_from(value).map_or_else(|_| ($large)(value), $int))
                    }
                    fn visit_f64<E: Error>(self, value: f64) -> Result<$type, E> {
                        Ok(($float)(value))
                    }
                    fn visit_str<E: Error>(self, value: &str) -> Result<$type, E> {
                        Ok(($text)(value))
                    }
                    fn visit_unit<E: Error>(self) -> Result<$type, E> {
                        Ok($none)
                    }
                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<$type, A::Error> {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        Ok($odd)
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<$type, A::Error> {
                        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        Ok($odd)
                    }
                }
                deserializer.deserialize_any(Form)
            }
        }
    };
}

lenient!(Text,
    bool: |value: bool| Text(Some(value.to_compact_string())),
    int: |value: i64| Text(Some(value.to_compact_string())),
    large: |value: u64| Text(Some(value.to_compact_string())),
    float: |value: f64| Text(Number::from_f64(value).map(|number| number.to_compact_string())),
    text: |value: &str| Text(Some(value.into())),
    none: Text(None),
    odd: odd(Text(None)));

lenient!(Whole,
    bool: |_| odd(Whole(None)),
    int: |value: i64| Whole(u64::try_from(value).ok()),
    large: |_| odd(Whole(None)),
    float: |_| odd(Whole(None)),
    text: |value: &str| Whole(value.trim().parse().ok()),
    none: Whole(None),
    odd: odd(Whole(None)));

lenient!(Flag,
    bool: |value: bool| Flag(Some(value)),
    int: |_| odd(Flag(None)),
    large: |_| odd(Flag(None)),
    float: |_| odd(Flag(None)),
    text: |value: &str| value.parse().map_or_else(|_| odd(Flag(None)), |flag| Flag(Some(flag))),
    none: Flag(None),
    odd: odd(Flag(None)));

lenient!(Stamp,
    bool: |_| Stamp::Unreadable,
    int: Stamp::Number,
    large: |_| Stamp::Unreadable,
    // Seconds with a decimal point are dates too. The comparison is false for NaN, which is then unreadable.
    float: |value: f64| if value.abs() < 1e15 { Stamp::Number(value as i64) } else { Stamp::Unreadable },
    text: |value: &str| Stamp::Text(value.into()),
    none: Stamp::Null,
    // A list or an object counts as an unreadable date.
    odd: Stamp::Unreadable);
