//! What may be done with a file, found out without doing it.

/// Whether this process may use a path as it would have to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Usable,
    Missing,
    /// Something else is there; says what.
    WrongKind(String),
    Denied,
    /// The path can't be looked at, or not be used for another reason.
    Failed(String),
}
