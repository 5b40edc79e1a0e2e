//! The domain model: resources, values and their rules. No HTTP, no SQL, and no I/O except the clock and the random
//! number generator.

pub mod account;
pub mod budget;
pub mod clock;
pub mod collection;
pub mod credential;
pub mod entropy;
pub mod event;
pub mod id;
pub mod label;
pub mod metadata;
pub mod name;
pub mod postal_address;
pub mod role;
pub mod role_binding;
pub mod sample;
pub mod secret;
pub mod token;
pub mod user;

/// `spelled!(Role, "must be …" { Viewer = "viewer", … })`: an enum whose values have the same text in the API and in
/// the store, listed in ascending order.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident, $rule:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All values, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value's text in the API and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::Refused;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let known = Self::ALL.iter().copied().find(|value| value.as_str() == text);
                known.ok_or_else(|| $crate::domain::Refused::because($rule))
            }
        }
    };
}
pub(crate) use spelled;

/// Why a value was refused: a phrase that completes "`<field>` …", such as "must not be empty".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
