//! How the cells of a workbook look.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};

use archive::table::{Column, Kind};

/// The narrowest and the widest column, in characters.
const WIDTHS: (usize, usize) = (8, 48);
/// The colours of the page: joined, and lines.
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
    pub month: Format,
    ratio: Format,
    probability: Format,
    own: Format,
    instant: Format,
    flag: Format,
}

impl Default for Styles {
    fn default() -> Styles {
        let number = |pattern: &str| Format::new().set_num_format(pattern);
        let head = Format::new().set_bold().set_background_color(PANEL).set_border_bottom(FormatBorder::Thin).set_align(FormatAlign::Top);
        Styles {
            title: Format::new().set_bold().set_font_size(16),
            heading: Format::new().set_bold().set_font_size(12),
            number_head: head.clone().set_align(FormatAlign::Right),
            head,
            sentence: Format::new().set_text_wrap().set_align(FormatAlign::Top),
            quiet: Format::new().set_font_color(Color::RGB(0x57_60_6A)),
            text: Format::new(),
            count: number("#,##0"),
            share: number("0.0%"),
            month: number("yyyy-mm").set_align(FormatAlign::Left),
            ratio: number("0.00"),
            probability: number("0.0000"),
            own: number("General"),
            instant: number("yyyy-mm-dd hh:mm:ss").set_align(FormatAlign::Left),
            flag: Format::new().set_align(FormatAlign::Left),
        }
    }
}

impl Styles {
    /// The format of a column's cells.
    pub(super) fn of(&self, column: &Column) -> &Format {
        match (column.kind, column.unit()) {
            (Kind::Text | Kind::Contact | Kind::Json, _) => &self.text,
            (Kind::Count, _) => &self.count,
            (Kind::Ratio, Some(unit)) if unit.contains("share") => &self.share,
            (Kind::Ratio, Some(unit)) if unit.starts_with("probability") => &self.probability,
            (Kind::Ratio, Some("ratio")) => &self.ratio,
            (Kind::Ratio, _) => &self.own,
            (Kind::Flag, _) => &self.flag,
            (Kind::Instant, _) => &self.instant,
            (Kind::Day, _) => &self.month,
        }
    }
}

/// The width of a column whose longest cell has so many characters.
pub(super) fn width(longest: usize) -> f64 {
    let (narrowest, widest) = WIDTHS;
    longest.clamp(narrowest, widest) as f64 + 1.0
}
