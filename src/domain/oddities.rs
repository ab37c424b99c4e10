/// How often something was not as documented, but could be read or passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Dates in milliseconds or as text, read as what they mean.
    pub dates_of_other_form: u64,
    /// Dates that no instant can be made from: taken as null.
    pub dates_unreadable: u64,
    /// Dates before 1970, kept as they are.
    pub dates_before_1970: u64,
    /// Contacts whose role is neither `user` nor `lead`: taken as a user when it has an external id, else as a lead.
    pub roles_unknown: u64,
    /// Contacts of a tag whose own, complete list of tags lacks it.
    pub tag_unconfirmed: u64,
    /// Conversations that a user or lead began, but the API does not say who.
    pub openers_unknown: u64,
    /// Conversations without an author.
    pub without_author: u64,
    /// Fields of another type than documented, taken as null.
    pub fields_mistyped: u64,
    /// Texts in which something that is no character was replaced with U+FFFD.
    pub texts_repaired: u64,
    /// Custom attributes that were nested too deep, taken as null.
    pub nested_too_deep: u64,
}

impl Oddities {
    /// Each count with its name, which is also the name of the finding that it becomes.
    pub fn counts(&self) -> [(&'static str, u64); 10] {
        [
            ("dates_of_other_form", self.dates_of_other_form),
            ("dates_unreadable", self.dates_unreadable),
            ("dates_before_1970", self.dates_before_1970),
            ("roles_unknown", self.roles_unknown),
            ("tag_unconfirmed", self.tag_unconfirmed),
            ("openers_unknown", self.openers_unknown),
            ("without_author", self.without_author),
            ("fields_mistyped", self.fields_mistyped),
            ("texts_repaired", self.texts_repaired),
            ("nested_too_deep", self.nested_too_deep),
        ]
    }
}

impl std::ops::AddAssign for Oddities {
    fn add_assign(&mut self, other: Oddities) {
        self.dates_of_other_form += other.dates_of_other_form;
        self.dates_unreadable += other.dates_unreadable;
        self.dates_before_1970 += other.dates_before_1970;
        self.roles_unknown += other.roles_unknown;
        self.tag_unconfirmed += other.tag_unconfirmed;
        self.openers_unknown += other.openers_unknown;
        self.without_author += other.without_author;
        self.fields_mistyped += other.fields_mistyped;
        self.texts_repaired += other.texts_repaired;
        self.nested_too_deep += other.nested_too_deep;
    }
}
