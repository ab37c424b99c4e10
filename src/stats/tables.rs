/// How many contacts of two disjoint groups have a value, and how many do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoByTwo {
    pub members_with: u64,
    pub members_without: u64,
    pub others_with: u64,
    pub others_without: u64,
}

/// The sums of the rows and columns of a table in which neither group is empty.
pub(super) struct Margins {
    pub(super) members: u64,
    pub(super) others: u64,
    pub(super) with: u64,
    pub(super) without: u64,
    pub(super) total: u64,
}

impl TwoByTwo {
    /// None when a group is empty, and when the total exceeds u64.
    pub(super) fn margins(&self) -> Option<Margins> {
        let members = self.members_with.checked_add(self.members_without)?;
        let others = self.others_with.checked_add(self.others_without)?;
        let total = members.checked_add(others)?;
        let with = self.members_with + self.others_with;
        (members > 0 && others > 0).then_some(Margins { members, others, with, without: total - with, total })
    }
}
