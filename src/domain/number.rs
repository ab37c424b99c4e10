//! Numbers with one canonical value and text.

use std::fmt;

/// A number, independent of how it was written: 49, 49.0 and 4.9e1 are equal, and so are 0 and -0.0. Equal numbers have equal texts.
///
/// A whole number from -2^63 to 2^64 - 1 is exact. Every other number is the nearest double. As text, whole numbers below 10^21 have all
/// their digits, and all other numbers have the fewest digits that give the same double. From 10^21 on and below 10^-6 the text has an
/// exponent: `49`, `0.1`, `1e-7`, `1.5e21`. The format is defined here, because a library might change its format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(Form);

/// Each number has exactly one form. A number that fits into `Whole` or `Negative` is never a `Double`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Whole(u64),
    Negative(i64),
    Double(f64),
}

/// 2^63 and 2^64, the first doubles that are too large for `i64` and `u64`.
const PAST_I64: f64 = 9_223_372_036_854_775_808.0;
const PAST_U64: f64 = 18_446_744_073_709_551_616.0;

impl Number {
    /// `None` for NaN and infinity.
    pub fn from_f64(number: f64) -> Option<Number> {
        // The casts are exact: the number is whole and in range.
        let form = match number.fract() == 0.0 {
            true if (0.0..PAST_U64).contains(&number) => Form::Whole(number as u64),
            true if (-PAST_I64..0.0).contains(&number) => Form::Negative(number as i64),
            _ => Form::Double(number),
        };
        number.is_finite().then_some(Number(form))
    }

    /// The nearest double. It is never -0.0.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Form::Whole(number) => number as f64,
            Form::Negative(number) => number as f64,
            Form::Double(number) => number,
        }
    }

    pub fn to_json(self) -> serde_json::Value {
        match self.0 {
            Form::Whole(number) => number.into(),
            Form::Negative(number) => number.into(),
            Form::Double(number) => number.into(),
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Number {
        Number(Form::Whole(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        Number(u64::try_from(number).map_or(Form::Negative(number), Form::Whole))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Whole(number) => number.fmt(f),
            Form::Negative(number) => number.fmt(f),
            Form::Double(number) if !(1e-6..1e21).contains(&number.abs()) => write!(f, "{number:e}"),
            // The number is whole and below 10^21, so the cast is exact.
            Form::Double(number) if number.fract() == 0.0 => (number as i128).fmt(f),
            Form::Double(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a number as the decoders of API responses do. A number without point or exponent becomes an integer if it fits into one. Any
    /// other number becomes a double.
    fn read(json: &str) -> Number {
        let number: serde_json::Number = serde_json::from_str(json).unwrap();
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., number) => Number::from_f64(number.unwrap()).unwrap(),
        }
    }

    #[test]
    fn each_number_has_one_text() {
        let cases: [(&str, &[&str]); 22] = [
            ("49", &["49", "49.0", "4.9e1", "4.9E+1", "490e-1", "49.000"]),
            ("-49", &["-49", "-49.0", "-4.9e1"]),
            ("0", &["0", "0.0", "-0.0", "-0", "0e5", "-0.0e-3"]),
            ("49.5", &["49.5", "49.50", "4.95e1"]),
            ("0.1", &["0.1", "1e-1", "0.10"]),
            ("-0.1", &["-0.1"]),
            ("1e-7", &["1e-7", "0.0000001", "10e-8"]),
            ("1000000", &["1000000", "1e6"]),
            ("10000000000000000", &["10000000000000000", "1e16", "10000000000000000.0"]),
            ("9007199254740992", &["9007199254740992", "9007199254740992.0"]),
            ("9007199254740993", &["9007199254740993"]),
            ("-9007199254740993", &["-9007199254740993"]),
            ("9223372036854775808", &["9223372036854775808", "9223372036854775808.0", "9.223372036854775808e18"]),
            ("-9223372036854775808", &["-9223372036854775808", "-9223372036854775808.0"]),
            ("12345678901234567890", &["12345678901234567890"]),
            ("18446744073709551615", &["18446744073709551615"]),
            ("18446744073709551616", &["18446744073709551616", "18446744073709551616.0", "1.8446744073709551616e19"]),
            ("-100000000000000000000", &["-100000000000000000000", "-1e20"]),
            ("0.000001", &["0.000001", "1e-6"]),
            ("1.5e-8", &["0.000000015", "1.5e-8"]),
            ("1e21", &["1e21", "1000000000000000000000", "1000000000000000000000.0", "1e+21"]),
            ("-1e21", &["-1e21", "-1000000000000000000000"]),
        ];
        for (text, forms) in cases {
            for form in forms {
                assert_eq!((read(form).to_string().as_str(), read(form)), (text, read(forms[0])), "{form}");
            }
            // The text can be read again, and gives a number with the same text.
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn whole_numbers_are_exact_beyond_the_precision_of_doubles() {
        assert_ne!(read("9007199254740992"), read("9007199254740993"));
        assert_eq!(read("9007199254740992").as_f64(), read("9007199254740993").as_f64());
    }

    #[test]
    fn zero_has_no_sign_and_nan_is_none() {
        assert_eq!(read("-0.0").as_f64().to_bits(), 0);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Number::from_f64(odd), None);
        }
        for edge in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, PAST_I64, -PAST_I64, PAST_U64, f64::EPSILON] {
            assert_eq!(Number::from_f64(edge).map(Number::as_f64), Some(edge));
        }
    }
}
