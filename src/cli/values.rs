//! Parses argument values: groups, instants, months, persons.

use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, Utc};

use domain::{GroupName, Month, MonthError};
use intercom::Counted;

/// A group, and whether its people or its companies are meant.
#[derive(Clone, Debug)]
pub(super) struct MembersOf {
    pub of: Counted,
    pub name: GroupName,
}

/// Reads a group of people, `tag:NAME` or `segment:NAME`, or of companies, `company-tag:NAME` or `company-segment:NAME`.
pub(super) fn members_of(text: &str) -> Result<MembersOf, String> {
    let (of, group) = match text.trim_start().strip_prefix("company-") {
        Some(group) => (Counted::Companies, group),
        None => (Counted::People, text),
    };
    let name = GroupName::parse_qualified(group);
    name.map(|name| MembersOf { of, name }).ok_or_else(|| {
        "write it like tag:value_lead or segment:Active, or company-tag:VIP for companies; `cohorts tags` and `cohorts segments` list them"
            .to_string()
    })
}

/// Reads an instant with its offset, `2026-11-01T02:00:00Z`, or a day, which stands for its midnight in UTC.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let instant = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.with_timezone(&Utc));
    instant.or_else(day).ok_or_else(|| "write it like 2026-11-01T02:00:00Z".to_string())
}

/// Reads a month. A month before Intercom existed is a typing error. It is refused, because its snapshot would be empty.
pub(super) fn month(text: &str) -> Result<Month, String> {
    let month: Month = text.parse().map_err(|error: MonthError| error.to_string())?;
    let first = Month::of(NaiveDate::from_ymd_opt(2011, 1, 1).unwrap_or_default());
    if month < first { Err("there was no Intercom before 2011".to_string()) } else { Ok(month) }
}

pub(super) fn loopback(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "it is not an IP address".to_string())?;
    if address.is_loopback() { Ok(address) } else { Err("the embedded Intercom listens on loopback only".to_string()) }
}

/// Reads an e-mail address. Refuses an empty text: an unset variable of a script must not mean all contacts without an address.
pub(super) fn email_address(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_address = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if is_address { Ok(text.to_string()) } else { Err("it is not an e-mail address") }
}

pub(super) fn contact_id(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("it is not an ID") } else { Ok(text.to_string()) }
}

pub(super) fn admin_id(text: &str) -> Result<String, &'static str> {
    contact_id(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_an_offset_or_is_a_day() {
        assert_eq!(instant("2026-11-01T02:00:00+01:00").unwrap().to_rfc3339(), "2026-11-01T01:00:00+00:00");
        assert_eq!(instant("2026-11-01").unwrap().to_rfc3339(), "2026-11-01T00:00:00+00:00");
        assert!(instant("2026-11-01T02:00:00").is_err());
        assert!(instant("yesterday").is_err());
        assert!(month("1500-01").is_err() && month("2010-12").is_err() && month("2011-01").is_ok());
    }
}
