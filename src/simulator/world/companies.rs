//! The companies contacts belong to.

use rand::RngExt;

use super::{Rng, WORKSPACE_CREATED_AT, names};

/// One company.
pub struct Company {
    /// 24 hexadecimal digits.
    pub id: String,
    /// The id in the customer's own system.
    pub company_id: String,
    pub name: String,
    pub created_at: i64,
    pub monthly_spend: u32,
}

/// Companies for about this many contacts.
pub fn invent(rng: &mut Rng, contacts: usize) -> Vec<Company> {
    (0..contacts / 12 + 30)
        .map(|number| {
            let created_at = WORKSPACE_CREATED_AT + rng.random_range(0..2_000_000);
            Company {
                id: format!("{created_at:08x}{:016x}", rng.random::<u64>()),
                company_id: (number + 1).to_string(),
                name: names::company(rng),
                created_at,
                monthly_spend: rng.random_range(0..900),
            }
        })
        .collect()
}
