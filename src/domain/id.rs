//! Typed identifiers, so that a user's id can't be passed where a token's id is expected.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{Refused, entropy::Entropy};

/// Parses an identifier in the form of spec/contract/CONTRACT.md §3: a lower-case, hyphenated UUID of version 4 or 5,
/// or the nil UUID.
#[must_use]
pub fn parse_identifier(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let variant_is_rfc = matches!(uuid.get_variant(), uuid::Variant::RFC4122);
    let known = match uuid.get_version_num() {
        4 => variant_is_rfc,
        5 => true,
        _ => uuid.is_nil(),
    };
    // `try_parse` also accepts upper case, braces, URNs and bare digits; only the canonical form is an identifier.
    (known && uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(uuid)
}

/// A new random UUID (version 4).
///
/// # Errors
/// When the source of randomness fails.
pub fn random_uuid(entropy: &dyn Entropy) -> std::io::Result<Uuid> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random identifier.
            ///
            /// # Errors
            /// When the source of randomness fails.
            pub fn random(entropy: &dyn Entropy) -> std::io::Result<Self> {
                random_uuid(entropy).map(Self)
            }

            /// The nil UUID, which identifies nothing.
            #[must_use]
            pub const fn nil() -> Self {
                Self(Uuid::nil())
            }
        }

        impl FromStr for $name {
            type Err = Refused;

            fn from_str(text: &str) -> Result<Self, Refused> {
                parse_identifier(text).map(Self).ok_or_else(|| Refused::because("must be a lower-case UUID of version \
                    4 or 5"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

identifiers!(
    /// The id of an account.
    AccountId,
    /// The id of a user.
    UserId,
    /// The id of a group of users. This service has no groups.
    GroupId,
    /// The id of a token; not a secret.
    TokenId,
    /// The id of a role binding.
    RoleBindingId,
    /// The id of an event.
    EventId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_identifier() {
        for good in [
            "b3a4c3f0-5d0c-4d6e-9b1a-7f0b9d1c2e3f",
            "b3a4c3f0-5d0c-5d6e-0b1a-7f0b9d1c2e3f",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(parse_identifier(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "b3a4c3f0",
            "B3A4C3F0-5D0C-4D6E-9B1A-7F0B9D1C2E3F",
            "b3a4c3f05d0c4d6e9b1a7f0b9d1c2e3f",
            "{b3a4c3f0-5d0c-4d6e-9b1a-7f0b9d1c2e3f}",
            "b3a4c3f0-5d0c-1d6e-9b1a-7f0b9d1c2e3f",
            "b3a4c3f0-5d0c-4d6e-1b1a-7f0b9d1c2e3f",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(parse_identifier(bad).is_none(), "{bad}");
        }
    }
}
