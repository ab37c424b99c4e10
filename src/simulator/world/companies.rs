//! The companies that contacts belong to.

use rand::RngExt;

use super::{Rng, WORKSPACE_CREATED_AT, names};

/// One company.
pub(crate) struct Company {
    /// 24 hexadecimal digits.
    pub id: String,
    /// The workspace's own id.
    pub company_id: String,
    pub name: String,
    pub created_at: i64,
    pub monthly_spend: u32,
}

/// A segment of companies. It is defined by a rule, like a segment of contacts.
pub(crate) struct CompanySegment {
    pub id: &'static str,
    pub name: &'static str,
    pub created_at: i64,
    rule: Rule,
}

enum Rule {
    SpendsFrom(u32),
    /// Companies that have the tag with this id. The tag cannot be deleted.
    Tagged(&'static str),
}

impl CompanySegment {
    /// Whether a company is in the segment. `tagged` says whether the company has the tag with an id.
    pub(crate) fn holds(&self, company: &Company, tagged: impl FnOnce(&str) -> bool) -> bool {
        match self.rule {
            Rule::SpendsFrom(least) => company.monthly_spend >= least,
            Rule::Tagged(id) => tagged(id),
        }
    }

    /// The tag that the rule requires, by id.
    pub(crate) fn needs_tag(&self) -> Option<&'static str> {
        match self.rule {
            Rule::SpendsFrom(_) => None,
            Rule::Tagged(id) => Some(id),
        }
    }
}

/// Every segment of companies. The last one depends on the tag `partner 🤝`.
pub(crate) const SEGMENTS: [CompanySegment; 3] = [
    CompanySegment { id: "63bbdd50aa01c0ffee0000c1", name: "Active", created_at: 1_673_256_272, rule: Rule::SpendsFrom(100) },
    CompanySegment { id: "63bbdd50aa01c0ffee0000c2", name: "Big spenders", created_at: 1_673_256_272, rule: Rule::SpendsFrom(600) },
    CompanySegment { id: "63bbdd50aa01c0ffee0000c3", name: "Partners", created_at: 1_673_256_272, rule: Rule::Tagged(PARTNER_TAG_ID) },
];

/// The id of the tag `partner 🤝`.
pub(crate) const PARTNER_TAG_ID: &str = "1400592";

/// Companies for about this many contacts.
pub(crate) fn invent(rng: &mut Rng, contacts: usize) -> Vec<Company> {
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
