//! What an `OpenID` provider can do otherwise than the specifications say, to order.

/// Something that is done otherwise. Several can be ordered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deviation {
    /// A code is redeemed whatever its verifier.
    WithoutPkce,
    /// Discovery names another issuer.
    ForeignMetadata,
    /// The answer of the authorization endpoint names another issuer.
    ForeignAnswer,
    /// It names none, although the metadata promise one.
    AnswerWithoutIssuer,
    /// Neither the answer nor the metadata speak of RFC 9207.
    BeforeRfc9207,
    /// The ID token repeats another nonce.
    WrongNonce,
    /// It repeats none.
    WithoutNonce,
    /// It is for another client.
    WrongAudience,
    /// It is for another client too, and was issued to that one.
    WrongParty,
    /// It has expired.
    Expired,
    /// It was issued tomorrow.
    FromTomorrow,
    /// It is of another issuer.
    WrongIssuer,
    /// It came with another access token.
    WrongHash,
    /// It has no `sub`.
    WithoutSubject,
    /// It is not signed: `alg` is `none`.
    Unsigned,
    /// It has a MAC with the client secret as its key.
    SignedWithSecret,
    /// It has a MAC with the published key as its key.
    SignedWithPublicKey,
    /// It is signed by another key under the name of the published one.
    Forged,
    /// It is signed by a key that is not published.
    UnpublishedKey,
    /// Its header does not name the key, which is allowed where there is one alone.
    UnnamedKey,
    /// It is for a list of clients, in which we stand alone, which is allowed.
    AudienceInAList,
    /// It is no JWT.
    Garbage,
    /// It is not there.
    WithoutIdToken,
    /// It is not there when tokens are refreshed, which is allowed.
    RefreshWithoutIdToken,
    /// It is about somebody else when tokens are refreshed.
    AnotherAtRefresh,
    /// No new refresh token comes when tokens are refreshed, which is allowed: the old one stays.
    RefreshWithoutRefreshToken,
    /// Userinfo is about somebody else.
    AnotherAtUserinfo,
    /// The ID token says who it is and no more, which is allowed: the rest is at userinfo.
    ThinIdToken,
    /// `email_verified` is text.
    VerifiedInWords,
}
