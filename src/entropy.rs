//! Randomness: the only place that asks the system for it.

/// `N` bytes from the random number generator of the operating system.
///
/// # Panics
/// Where the system has no randomness to give: nothing that this program does is safe then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness the only safe thing is to stop"
    )]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
