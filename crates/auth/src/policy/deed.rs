//! What rules tell apart of what can be done to records.

/// What is done to a record, as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// Reading the current version, or another one by its number.
    Read,
    /// Finding records, and following references to and from them.
    Search,
    /// Reading the versions of one record, of a type or of all.
    History,
    /// Making a record.
    Create,
    /// Replacing a record, or making one under an id of one's own.
    Update,
    /// Changing part of a record.
    Patch,
    /// Deleting a record.
    Delete,
}

/// What shows records.
pub(super) const SEEING: [Deed; 3] = [Deed::Read, Deed::Search, Deed::History];

/// What gives records content.
pub(super) const CHANGING: [Deed; 3] = [Deed::Create, Deed::Update, Deed::Patch];

impl Deed {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Search,
        Self::History,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
    ];

    /// Its name in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::History => "history",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.name() == name)
    }

    /// Whether it leaves records other than they were.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::Read | Self::Search | Self::History => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete => true,
        }
    }
}
