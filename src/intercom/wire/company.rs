//! Pages of companies, which both generations send in the same form.

use serde::Deserialize;

use super::attributes::Attributes;
use super::lenient::{Nested, Stamp, Text, Whole, counting, some};
use super::next::Next;
use super::tag_list::TagList;
use super::{DecodeError, checked_id, decode, shape};
use crate::numbered::Page;
use domain::{Company, Oddities};

#[derive(Deserialize)]
struct WireCompany {
    id: Option<Text>,
    company_id: Option<Text>,
    name: Option<Text>,
    #[serde(default)]
    plan: Nested<Plan>,
    monthly_spend: Option<Text>,
    #[serde(default)]
    session_count: Whole,
    #[serde(default)]
    user_count: Whole,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    remote_created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
    #[serde(default)]
    last_request_at: Stamp,
    industry: Option<Text>,
    #[serde(default)]
    size: Whole,
    website: Option<Text>,
    #[serde(default)]
    tags: Nested<TagList>,
    #[serde(default)]
    custom_attributes: Nested<Attributes>,
}

#[derive(Deserialize)]
struct Plan {
    name: Option<Text>,
}

impl WireCompany {
    /// The company of this record. `None` when it has no id.
    fn into_company(self, oddities: &mut Oddities) -> Option<Company> {
        let monthly_spend = some(self.monthly_spend).and_then(|spend| spend.trim().parse().ok()).filter(|spend: &f64| spend.is_finite());
        Some(Company {
            id: checked_id(self.id)?,
            company_id: some(self.company_id),
            name: some(self.name),
            plan: self.plan.0.and_then(|plan| some(plan.name)),
            monthly_spend,
            session_count: self.session_count.0,
            user_count: self.user_count.0,
            created_at: self.created_at.instant(oddities),
            remote_created_at: self.remote_created_at.instant(oddities),
            updated_at: self.updated_at.instant(oddities),
            last_request_at: self.last_request_at.instant(oddities),
            industry: some(self.industry),
            size: self.size.0,
            website: some(self.website),
            custom_attributes: self.custom_attributes.0.unwrap_or_default().0,
            tags: self.tags.0.and_then(TagList::own),
        })
    }
}

pub(crate) fn companies(body: &[u8]) -> Result<Page<Company>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "companies")]
        data: Vec<WireCompany>,
        #[serde(default)]
        total_count: Whole,
        #[serde(default)]
        pages: Nested<Pages>,
    }
    #[derive(Deserialize)]
    struct Pages {
        #[serde(default)]
        total_pages: Whole,
        /// Shows only that there is a next page. A URL in it is not followed.
        #[serde(default)]
        next: Next,
    }
    let (list, mut oddities) = counting(|| decode::<List>(body));
    let list = list?;
    let mut rows = Vec::with_capacity(list.data.len());
    for (index, wire) in list.data.into_iter().enumerate() {
        rows.push(wire.into_company(&mut oddities).ok_or_else(|| shape(format!("companies[{index}].id")))?);
    }
    let (last, has_next) = match list.pages.0 {
        Some(pages) => (pages.total_pages.0.and_then(|last| u32::try_from(last).ok()), pages.next != Next::End),
        None => (None, false),
    };
    Ok(Page { rows, total: list.total_count.0, last, has_next, oddities })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttributeValue, Number};

    #[test]
    fn a_company_of_either_generation_is_read() {
        let company = r#"{"type": "company", "id": "63a1", "company_id": 7, "name": "A & B", "plan": {"type": "plan", "id": "1", "name": "Paid"},
            "monthly_spend": 99.5, "session_count": 12, "user_count": "3", "created_at": 1700000000, "remote_created_at": 1600000000,
            "updated_at": null, "industry": "Metal", "size": 40, "website": "https://a.example",
            "tags": {"type": "tag.list", "tags": [{"type": "tag", "id": "5", "name": "VIP"}]}, "custom_attributes": {"seats": 4, "none": null}}"#;
        for (kind, key, next) in [("company.list", "companies", "\"https://api.example/companies?page=2\""), ("list", "data", "null")] {
            let body = format!(
                r#"{{"type": "{kind}", "{key}": [{company}], "total_count": 61, "pages": {{"next": {next}, "page": 1, "total_pages": 2}}}}"#
            );
            let page = companies(body.as_bytes()).unwrap();
            assert_eq!((page.total, page.last, page.has_next, page.oddities), (Some(61), Some(2), next != "null", Oddities::default()));
            let company = &page.rows[0];
            assert_eq!((company.id.as_str(), company.company_id.as_deref(), company.name.as_deref()), ("63a1", Some("7"), Some("A & B")));
            assert_eq!((company.plan.as_deref(), company.monthly_spend), (Some("Paid"), Some(99.5)));
            assert_eq!((company.session_count, company.user_count, company.size), (Some(12), Some(3), Some(40)));
            assert_eq!(company.created_at.unwrap().timestamp(), 1_700_000_000);
            assert_eq!((company.updated_at, company.last_request_at), (None, None));
            assert_eq!(company.tags.as_ref().unwrap().contains("6"), Some(false));
            let [seats] = &company.custom_attributes[..] else { panic!("{company:?}") };
            assert_eq!((seats.name.as_str(), &seats.value), ("seats", &AttributeValue::Number(Number::from(4_u64))));
        }
    }

    #[test]
    fn only_the_id_of_a_company_is_required() {
        let page = companies(br#"{"data": [{"id": "1", "plan": "none", "tags": null, "monthly_spend": "much"}]}"#).unwrap();
        assert_eq!((page.total, page.last, page.has_next), (None, None, false));
        assert_eq!((page.rows[0].plan.as_deref(), page.rows[0].monthly_spend, &page.rows[0].tags), (None, None, &None));
        let error = companies(br#"{"companies": [{"company_id": "1"}]}"#).unwrap_err();
        assert!(matches!(error, DecodeError::Shape { path } if path == "companies[0].id"));
    }
}
