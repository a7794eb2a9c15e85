//! Why there is no answer.

/// What is wrong with a code system or a value set, or what is missing. None
/// holds content of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such value set.
    #[error("the value set is not known here")]
    UnknownValueSet,
    /// A value set is composed of one that is not there.
    #[error("the value set is composed of another one that is not known here")]
    UnknownPart,
    /// There is no such code system, or not with its concepts.
    #[error("the code system is not known here with its concepts")]
    UnknownCodeSystem,
    /// A value set is composed of concepts of a code system that is not there.
    #[error(
        "the value set selects from a code system that is not known here with all its concepts"
    )]
    UnknownSystemOfPart,
    /// The code system has no such code.
    #[error("the code system has no such code")]
    UnknownCode,
    /// More codes than one answer may have.
    #[error("there are too many codes: more than {0}")]
    TooManyCodes(usize),
    /// More concepts than one code system may have.
    #[error("the code system has too many concepts: more than {0}")]
    TooManyConcepts(usize),
    /// Value sets inside each other go too deep, or are too many.
    #[error("the value set is composed of too many others, or too deep")]
    TooManySets,
    /// A value set is composed of itself.
    #[error("the value set is composed of itself")]
    Circular,
    /// Some form that is not understood.
    #[error("the value set has {0}")]
    Unsupported(&'static str),
    /// A resource that is not what it should be.
    #[error("the resource is no {0}")]
    NotA(&'static str),
}

impl Error {
    /// Is the answer only too large? The same question may be asked for less.
    #[must_use]
    pub fn is_costly(self) -> bool {
        match self {
            Self::TooManyCodes(_) | Self::TooManyConcepts(_) | Self::TooManySets => true,
            Self::UnknownValueSet
            | Self::UnknownPart
            | Self::UnknownCodeSystem
            | Self::UnknownSystemOfPart
            | Self::UnknownCode
            | Self::Circular
            | Self::Unsupported(_)
            | Self::NotA(_) => false,
        }
    }

    /// Is something not there that was asked for?
    #[must_use]
    pub fn is_absence(self) -> bool {
        match self {
            Self::UnknownValueSet
            | Self::UnknownPart
            | Self::UnknownCodeSystem
            | Self::UnknownSystemOfPart
            | Self::UnknownCode => true,
            Self::TooManyCodes(_)
            | Self::TooManyConcepts(_)
            | Self::TooManySets
            | Self::Circular
            | Self::Unsupported(_)
            | Self::NotA(_) => false,
        }
    }
}
