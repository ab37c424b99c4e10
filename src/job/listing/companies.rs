//! The table of companies.

use polars::prelude::{Column as Values, DataFrame, IntoColumn, NamedFrom, Series};

use super::{Listed, ListingError, custom_attributes};
use crate::privacy::Privacy;
use archive::table::{Column, Kind, Table, instants};
use domain::{Company, SubscriptionType};
use intercom::{Client, RequestError};

const NOT_GIVEN: &str = "not given";
const UNREADABLE: &str = "not given or unreadable";

/// A company with everything that the API gives.
pub const COMPANIES: Table = Table {
    name: "companies",
    row: "a company of the group, as it is now",
    key: &["id"],
    columns: &[
        Column::new("company_id", Kind::Text, "the workspace's own ID of the company").or_null(NOT_GIVEN),
        Column::new("id", Kind::Text, "Intercom's ID of the company"),
        Column::new("name", Kind::Text, "name").or_null(NOT_GIVEN),
        Column::new("plan", Kind::Text, "name of the company's plan").or_null(NOT_GIVEN),
        Column::new("monthly_spend", Kind::Ratio, "how much the company spends in a month").in_unit("money").or_null(NOT_GIVEN),
        Column::new("session_count", Kind::Count, "number of sessions").in_unit("sessions").or_null(NOT_GIVEN),
        Column::new("user_count", Kind::Count, "number of users").in_unit("users").or_null(NOT_GIVEN),
        Column::new("created_at", Kind::Instant, "when the company was created in Intercom").or_null(UNREADABLE),
        Column::new("remote_created_at", Kind::Instant, "when the company was created, as set by the workspace").or_null(UNREADABLE),
        Column::new("updated_at", Kind::Instant, "when the company's record last changed").or_null(UNREADABLE),
        Column::new("last_request_at", Kind::Instant, "when a user of the company was last seen").or_null(UNREADABLE),
        Column::new("industry", Kind::Text, "industry").or_null(NOT_GIVEN),
        Column::new("size", Kind::Count, "number of employees").in_unit("employees").or_null(NOT_GIVEN),
        Column::new("website", Kind::Text, "website").or_null(NOT_GIVEN),
        Column::new("custom_attributes", Kind::Json, "the custom attributes as one JSON object; those that are not set are left out"),
    ],
};

impl Listed for Company {
    fn id(&self) -> &str {
        &self.id
    }

    async fn completed(self, _client: &Client) -> Result<Company, RequestError> {
        Ok(self)
    }

    fn written(self, privacy: &Privacy) -> Company {
        privacy.apply_to_company(self)
    }

    fn columns(rows: &[Company], _types: &[SubscriptionType]) -> Result<DataFrame, ListingError> {
        let texts = |name: &str, of: fn(&Company) -> Option<&str>| -> Values {
            Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()).into_column()
        };
        let counts = |name: &str, of: fn(&Company) -> Option<u64>| -> Values {
            let counts = rows.iter().map(|company| of(company).and_then(|count| i64::try_from(count).ok()));
            Series::new(name.into(), counts.collect::<Vec<_>>()).into_column()
        };
        let spend: Vec<Option<f64>> = rows.iter().map(|company| company.monthly_spend).collect();
        DataFrame::new_infer_height(vec![
            texts("company_id", |company| company.company_id.as_deref()),
            texts("id", |company| Some(&company.id)),
            texts("name", |company| company.name.as_deref()),
            texts("plan", |company| company.plan.as_deref()),
            Series::new("monthly_spend".into(), spend).into_column(),
            counts("session_count", |company| company.session_count),
            counts("user_count", |company| company.user_count),
            instants("created_at", rows.iter().map(|company| company.created_at)),
            instants("remote_created_at", rows.iter().map(|company| company.remote_created_at)),
            instants("updated_at", rows.iter().map(|company| company.updated_at)),
            instants("last_request_at", rows.iter().map(|company| company.last_request_at)),
            texts("industry", |company| company.industry.as_deref()),
            counts("size", |company| company.size),
            texts("website", |company| company.website.as_deref()),
            custom_attributes(rows.iter().map(|company| company.custom_attributes.as_slice())),
        ])
        .map_err(ListingError::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_table() {
        let found = Company::columns(&[], &[]).unwrap();
        let conformed = COMPANIES.conform(&found).unwrap();
        assert_eq!((found.get_column_names(), found.dtypes()), (conformed.get_column_names(), conformed.dtypes()));
    }
}
