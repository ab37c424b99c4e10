//! stub
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    pub condition: Condition,
}
impl Rule {
    pub fn cohort_key(&self) -> String {
        format!("rule:{}", self.name)
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    sql: String,
    references: Vec<String>,
}
impl Condition {
    pub fn sql(&self) -> &str {
        &self.sql
    }
    pub fn references(&self) -> &[String] {
        &self.references
    }
}
