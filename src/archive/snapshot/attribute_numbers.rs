//! Gives equal numbers of custom attributes one text when a snapshot is read.
//!
//! Older versions of the program wrote each number as the API sent it, so one number may have two texts: 49 and 49.0, 0 and -0.0. A
//! snapshot is never edited, so such texts are converted to the text of [`Number`] on reading.

use polars::prelude::*;

use domain::Number;

/// The rows of the attributes table with one text for equal numbers, and without -0.0.
pub(super) fn with_one_text(attributes: LazyFrame) -> LazyFrame {
    let values = col("value").map_many(
        |columns: &mut [Column]| match columns {
            [values, numbers] => Ok(texts(values.str()?, numbers.f64()?).into_column()),
            _ => Err(PolarsError::ComputeError("the texts and numbers of attributes are two columns".into())),
        },
        &[col("value_number")],
        |_, fields: &[Field]| {
            fields.first().cloned().ok_or_else(|| PolarsError::ComputeError("the texts of attributes are missing".into()))
        },
    );
    let is_zero = col("value_number").eq(lit(0.0));
    let numbers = when(is_zero).then(lit(0.0)).otherwise(col("value_number")).alias("value_number");
    attributes.with_columns([values, numbers])
}

/// Only whole numbers and numbers with an exponent may have an old text. All versions of the program wrote other numbers in the
/// same way: with the fewest digits.
fn texts(values: &StringChunked, numbers: &Float64Chunked) -> StringChunked {
    let is_old = |text: &str, number: f64| text.contains(['e', 'E']) || (number.fract() == 0.0 && text.contains('.'));
    let pairs = || values.iter().zip(numbers.iter());
    if !pairs().any(|(text, number)| text.zip(number).is_some_and(|(text, number)| is_old(text, number))) {
        return values.clone();
    }
    let text = |(text, number): (Option<&str>, Option<f64>)| match (text, number) {
        (Some(text), Some(number)) if is_old(text, number) => {
            Some(Number::from_f64(number).map_or_else(|| text.to_string(), |number| number.to_string()))
        }
        (text, _) => text.map(str::to_string),
    };
    pairs().map(text).collect::<StringChunked>().with_name(values.name().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_get_one_text_and_texts_do_not_change() {
        let rows: [(&str, Option<f64>, &str, f64); 12] = [
            ("49", Some(49.0), "49", 49.0),
            ("49.0", Some(49.0), "49", 49.0),
            ("-0.0", Some(-0.0), "0", 0.0),
            ("0.0", Some(0.0), "0", 0.0),
            ("0", Some(0.0), "0", 0.0),
            ("1e16", Some(1e16), "10000000000000000", 1e16),
            ("1e21", Some(1e21), "1e21", 1e21),
            ("1e+21", Some(1e21), "1e21", 1e21),
            ("1e-7", Some(1e-7), "1e-7", 1e-7),
            ("1e-5", Some(1e-5), "0.00001", 1e-5),
            ("9007199254740993", Some(9_007_199_254_740_992.0), "9007199254740993", 9_007_199_254_740_992.0),
            ("49.5", Some(49.5), "49.5", 49.5),
        ];
        let frame = df!("value" => rows.map(|row| row.0), "value_number" => rows.map(|row| row.1)).unwrap();
        let read = with_one_text(frame.lazy()).collect().unwrap();
        assert_eq!(read.column("value").unwrap().str().unwrap().iter().flatten().collect::<Vec<_>>(), rows.map(|row| row.2));
        let bits: Vec<u64> = read.column("value_number").unwrap().f64().unwrap().iter().flatten().map(f64::to_bits).collect();
        assert_eq!(bits, rows.map(|row| row.3.to_bits()));

        let texts = ["49.0", "-0.0", "1e16", "v4.0"];
        let frame = df!("value" => texts, "value_number" => [None::<f64>; 4]).unwrap();
        assert!(with_one_text(frame.clone().lazy()).collect().unwrap().equals_missing(&frame));
    }
}
