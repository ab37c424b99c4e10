//! Invented people, companies and places. No name is taken from a list of real ones. All names are built from syllables.

use rand::RngExt;

use super::Rng;

const FIRST: [&str; 24] = [
    "Tal", "Or", "Mira", "Ves", "Kel", "Ulm", "Zan", "Bri", "Fen", "Jor", "Sol", "Ny", "Quil", "Ad", "Hes", "Lio", "Pra", "Ruv", "Wen",
    "Cor", "Ily", "Dar", "Gav", "Xan",
];
const LAST: [&str; 16] = ["ven", "rick", "li", "dra", "mos", "ta", "nia", "sel", "bor", "wyn", "ko", "ra", "zim", "del", "fi", "gus"];
const SURNAME: [&str; 16] =
    ["Orr", "Quen", "Mal", "Tov", "Bris", "Hal", "Sker", "Dun", "Vla", "Ney", "Pell", "Gar", "Lund", "Izo", "Wex", "Cald"];
const SURNAME_END: [&str; 14] = ["isk", "dale", "ova", "sen", "ardi", "wick", "muth", "ero", "stad", "kova", "ley", "ani", "ström", "oğlu"];

/// Names that are known to break imports, exports or pages.
const HOSTILE: [&str; 18] = [
    "=1+2",
    "@x",
    "+x",
    "-2+3",
    "=HYPERLINK(\"http://spam.example\",\"click\")",
    "O&#39;Varen",
    "Tom &amp; Jorla &lt;Quend&gt;",
    "<script>alert('x')</script>",
    "Velda \"Vee\" Orrisk",
    "Orrisk, Velda",
    "Velda\nOrrisk",
    "Łüka Øvrén",
    "🦊 Tarvo 👩‍🚀",
    "空木 リラ",
    "שולם ורין",
    "\u{202e}evil\u{202c} Quen",
    "  Padded  ",
    "Zo\u{301}e\tTabbed",
];

/// A country with cities as `(region, city)`.
pub(crate) struct Country {
    pub name: &'static str,
    pub code: &'static str,
    pub continent: &'static str,
    pub dial: &'static str,
    pub cities: [(&'static str, &'static str); 3],
}

/// Where contacts live. Users on the free plan in `Brazil` stop visiting soon (see [`super::people`]).
pub(crate) const COUNTRIES: [Country; 10] = [
    country("Ireland", "IRL", "EU", "+353", [("Leinster", "Dublin"), ("Munster", "Cork"), ("Connacht", "Galway")]),
    country("United States", "USA", "NA", "+1", [("California", "San Francisco"), ("New York", "New York"), ("Texas", "Austin")]),
    country("Germany", "DEU", "EU", "+49", [("Berlin", "Berlin"), ("Bayern", "München"), ("Hamburg", "Hamburg")]),
    country("Brazil", "BRA", "SA", "+55", [("São Paulo", "São Paulo"), ("Rio de Janeiro", "Rio de Janeiro"), ("Bahia", "Salvador")]),
    country("United Kingdom", "GBR", "EU", "+44", [("England", "London"), ("Scotland", "Edinburgh"), ("Wales", "Cardiff")]),
    country("India", "IND", "AS", "+91", [("Karnataka", "Bengaluru"), ("Maharashtra", "Mumbai"), ("Delhi", "New Delhi")]),
    country("Japan", "JPN", "AS", "+81", [("Tokyo", "Tokyo"), ("Osaka", "Osaka"), ("Kyoto", "Kyoto")]),
    country("Kenya", "KEN", "AF", "+254", [("Nairobi County", "Nairobi"), ("Mombasa County", "Mombasa"), ("Kisumu County", "Kisumu")]),
    country("Portugal", "PRT", "EU", "+351", [("Lisboa", "Lisbon"), ("Porto", "Porto"), ("Faro", "Faro")]),
    country(
        "Côte d'Ivoire",
        "CIV",
        "AF",
        "+225",
        [("Lagunes", "Abidjan"), ("Yamoussoukro", "Yamoussoukro"), ("Vallée du Bandama", "Bouaké")],
    ),
];

const fn country(
    name: &'static str,
    code: &'static str,
    continent: &'static str,
    dial: &'static str,
    cities: [(&'static str, &'static str); 3],
) -> Country {
    Country { name, code, continent, dial, cities }
}

/// A person's name as a user would type it.
pub(crate) fn person(rng: &mut Rng) -> String {
    if rng.random_bool(0.03) {
        return pick(rng, &HOSTILE).to_string();
    }
    format!("{}{} {}{}", pick(rng, &FIRST), pick(rng, &LAST), pick(rng, &SURNAME), pick(rng, &SURNAME_END))
}

/// A company's name.
pub(crate) fn company(rng: &mut Rng) -> String {
    let kind = pick(rng, &["Ltd", "GmbH", "Labs", "& Daughters", "Logistics", "Studio", "\"Quoted\" Inc.", "Works"]);
    format!("{}{} {kind}", pick(rng, &SURNAME), pick(rng, &LAST))
}

/// An email address under a domain that can never receive mail. `number` makes the address unique.
pub(crate) fn email(rng: &mut Rng, number: usize) -> String {
    let domain = pick(rng, &["example.com", "example.org", "example.net", "quenmos.example", "tovdale.example", "skerlund.example"]);
    format!("{}.{}{number}@{domain}", pick(rng, &FIRST).to_lowercase(), pick(rng, &LAST))
}

/// One element of a list that is not empty.
pub(crate) fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}
