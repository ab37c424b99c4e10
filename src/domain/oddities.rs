/// The number of values of each kind that were not as documented, but could be read or ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Dates in milliseconds or as text. They are converted.
    pub dates_of_other_form: u64,
    /// Dates that cannot be read. They become null.
    pub dates_unreadable: u64,
    /// Dates before 1970. They are not changed.
    pub dates_before_1970: u64,
    /// Contacts whose role is neither user nor lead. In 2.x, a contact of unknown role counts as a user if it has an external id, otherwise
    /// as a lead. In 1.x, it counts as a lead if it is anonymous, otherwise as a user.
    pub roles_unknown: u64,
    /// Members of a tag, contacts or companies, whose own list of tags is complete but does not have this tag.
    pub tag_unconfirmed: u64,
    /// Conversations opened by a user or lead that the API does not name.
    pub openers_unknown: u64,
    /// Conversations without an author.
    pub without_author: u64,
    /// Fields of another type than documented. They become null.
    pub fields_mistyped: u64,
    /// Texts in which invalid characters were replaced with U+FFFD.
    pub texts_repaired: u64,
    /// Custom attributes that are nested too deep. They become null.
    pub nested_too_deep: u64,
}

impl Oddities {
    /// Each count with its name, which is also the name of its finding.
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
