//! How the cells of a workbook look.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};

use archive::table::{Column, Kind};

/// The narrowest and the widest column, in characters.
const WIDTHS: (usize, usize) = (8, 48);
/// The colour of `joined` on the page, and the background of heads.
pub(super) const BLUE: Color = Color::RGB(0x00_72_B2);
const PANEL: Color = Color::RGB(0xEA_EE_F2);

pub(super) struct Styles {
    pub title: Format,
    pub heading: Format,
    pub head: Format,
    pub number_head: Format,
    pub sentence: Format,
    pub quiet: Format,
    pub text: Format,
    pub count: Format,
    pub share: Format,
    pub change: Format,
    month: Format,
    ratio: Format,
    probability: Format,
    instant: Format,
    flag: Format,
    large: Format,
    small: Format,
}

impl Default for Styles {
    fn default() -> Styles {
        let number = |pattern: &str| Format::new().set_num_format(pattern);
        // The indent separates a text from a number in the column to its left.
        let left = |format: Format| format.set_align(FormatAlign::Left).set_indent(1);
        let head = Format::new().set_bold().set_background_color(PANEL).set_border_bottom(FormatBorder::Thin).set_text_wrap();
        Styles {
            title: Format::new().set_bold().set_font_size(16),
            heading: Format::new().set_bold().set_font_size(12),
            // The indent leaves space for the filter's button.
            number_head: head.clone().set_align(FormatAlign::Right).set_indent(2),
            head: left(head),
            sentence: Format::new().set_text_wrap().set_align(FormatAlign::Top),
            quiet: Format::new().set_font_color(Color::RGB(0x57_60_6A)),
            text: left(Format::new()),
            count: number("#,##0"),
            share: number("0.0%"),
            change: number("+0.0%;-0.0%;0.0%"),
            month: left(number("yyyy-mm")),
            ratio: number("#,##0.00"),
            probability: number("[<0.0001]\"< 0.0001\";0.0000"),
            instant: left(number("yyyy-mm-dd hh:mm:ss")),
            // The format contains the words, because LibreOffice otherwise shows 1 and 0.
            flag: left(number("\"TRUE\";\"TRUE\";\"FALSE\"")),
            large: number("#,##0.0"),
            small: number("0.0000"),
        }
    }
}

impl Styles {
    /// The format of a column's cells; `None` if it depends on the cell: see [`Styles::of_number`].
    pub(super) fn of(&self, column: &Column) -> Option<&Format> {
        Some(match (column.kind, column.unit()) {
            (Kind::Text | Kind::Contact | Kind::Json, _) => &self.text,
            (Kind::Count, _) => &self.count,
            (Kind::Ratio, _) if column.name.ends_with("_rate") => &self.share,
            (Kind::Ratio, Some(unit)) if unit.starts_with("share") || column.name.ends_with("_change") => &self.share,
            (Kind::Ratio, Some(unit)) if unit.starts_with("probability") => &self.probability,
            (Kind::Ratio, Some(unit)) if unit == "ratio" || unit.starts_with("difference") => &self.ratio,
            (Kind::Ratio, _) => return None,
            (Kind::Flag, _) => &self.flag,
            (Kind::Instant, _) => &self.instant,
            (Kind::Day, _) => &self.month,
        })
    }

    /// The format of a number of any size: without decimals if the number is whole, otherwise with more decimals the smaller the number is.
    pub(super) fn of_number(&self, number: f64) -> &Format {
        match number.abs() {
            _ if number.fract() == 0.0 => &self.count,
            100.0.. => &self.large,
            1.0.. => &self.ratio,
            _ => &self.small,
        }
    }

    /// The format of the head of a column.
    pub(super) fn head_of(&self, column: &Column) -> &Format {
        if matches!(column.kind, Kind::Count | Kind::Ratio) { &self.number_head } else { &self.head }
    }
}

/// The width of a column whose longest cell has so many characters.
pub(super) fn width(longest: usize) -> f64 {
    let (narrowest, widest) = WIDTHS;
    longest.clamp(narrowest, widest) as f64 + 1.0
}
