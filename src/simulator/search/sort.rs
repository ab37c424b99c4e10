//! The sort order of a search.

use axum::http::StatusCode;
use serde_json::Value;

use crate::api_error::ApiError;

/// The `sort` of a search body: a field, and whether it descends.
pub(crate) struct Sort<'a> {
    pub field: &'a str,
    pub descending: bool,
}

/// Parses `sort`. The default order is descending. With `checks_order`, an unknown order is refused, as in contact searches from 2.16 on.
/// Without it, the default order applies instead (an assumption).
pub(crate) fn sort<'a>(sort: Option<&'a Value>, default_field: &'a str, checks_order: bool) -> Result<Sort<'a>, ApiError> {
    let field = match sort.and_then(|sort| sort.get("field")) {
        None | Some(Value::Null) => default_field,
        Some(field) => field.as_str().ok_or_else(|| ApiError::parameter_invalid("sort.field must be a string"))?,
    };
    let descending = match sort.and_then(|sort| sort.get("order")) {
        None | Some(Value::Null) => true,
        Some(order) => match order.as_str() {
            Some("ascending") => false,
            Some("descending") => true,
            _ if !checks_order => true,
            word => {
                let word = word.map_or_else(|| order.to_string(), str::to_owned);
                let message = format!("Invalid sort order '{word}'. Must be one of: ascending, descending");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_sort_order", message));
            }
        },
    };
    Ok(Sort { field, descending })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sort_orders_are_checked_from_2_16() {
        let asked = json!({"field": "created_at", "order": "desc"});
        assert!(sort(Some(&asked), "created_at", false).is_ok_and(|sort| sort.descending));
        let error = sort(Some(&asked), "created_at", true).err().unwrap();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("invalid_sort_order", "Invalid sort order 'desc'. Must be one of: ascending, descending")
        );
    }
}
