//! What becomes of what a person gave us at a provider, after they have signed in.

/// Something that happened to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantNews<'a> {
    /// The provider could not be asked whether it still vouches for the person: this is what happened, without anything that
    /// it sent but an error code. Their sessions live on for a while.
    Unknown(&'a str),
    /// After that, the provider was asked, and vouches for the person.
    KnownAgain,
    /// The provider no longer vouches for the person, or the rules no longer let them in: all their sessions end.
    Ended(&'a str),
    /// The provider's tokens were renewed.
    Renewed,
    /// The provider's tokens were given back: it has ended them.
    GivenBack,
    /// The provider's tokens could not be given back, however often it was tried: they end when the provider lets them.
    NotGivenBack(&'a str),
}

impl<'a> GrantNews<'a> {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unknown(_) => "upstream_unknown",
            Self::KnownAgain => "upstream_known_again",
            Self::Ended(_) => "upstream_ended",
            Self::Renewed => "upstream_renewed",
            Self::GivenBack => "upstream_given_back",
            Self::NotGivenBack(_) => "upstream_not_given_back",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Unknown(_) => {
                "the provider could not be asked about somebody; their sessions live on for a while"
            }
            Self::KnownAgain => "the provider was asked about somebody, and vouches for them",
            Self::Ended(_) => {
                "somebody may not go on after asking the provider; their sessions end"
            }
            Self::Renewed => "the provider's tokens of somebody were renewed",
            Self::GivenBack => "the provider's tokens of somebody were given back",
            Self::NotGivenBack(_) => {
                "the provider's tokens of somebody could not be given back, and last as long as it lets them"
            }
        }
    }

    pub(super) fn cause(self) -> Option<&'a str> {
        match self {
            Self::Unknown(cause) | Self::Ended(cause) | Self::NotGivenBack(cause) => Some(cause),
            Self::KnownAgain | Self::Renewed | Self::GivenBack => None,
        }
    }

    pub(super) fn is_alarming(self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NotGivenBack(_))
    }

    pub(super) fn is_routine(self) -> bool {
        self == Self::Renewed
    }
}
