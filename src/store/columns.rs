//! The encoding of domain values in columns, and the conversion of rows to domain types.

use sqlx::{Database, Decode, Encode, Type, encode::IsNull, error::BoxDynError};

use crate::domain::{
    account::AccountContact,
    clock::Timestamp,
    event::{Class, Severity},
    id::{AccountId, EventId, RoleBindingId, TokenId, UserId},
    label::Labels,
    name::{Email, FreeText, ResourceName},
    postal_address::PostalAddress,
    role::Role,
    role_binding::RoleConstraints,
    secret::SecretDigest,
    user::{AuthProvider, UserState},
};

/// `columns! { Role as String: write, read; }`: stores a type as a `String`, converted by two functions.
macro_rules! columns {
    ($($value:ty as $kept:ty: $write:expr, $read:expr;)*) => {$(
        impl<DB: Database> Type<DB> for $value where $kept: Type<DB> {
            fn type_info() -> DB::TypeInfo {
                <$kept as Type<DB>>::type_info()
            }

            fn compatible(ty: &DB::TypeInfo) -> bool {
                <$kept as Type<DB>>::compatible(ty)
            }
        }

        impl<'q, DB: Database> Encode<'q, DB> for $value where $kept: Encode<'q, DB> {
            fn encode_by_ref(&self, buf: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let write: fn(&$value) -> Result<$kept, BoxDynError> = $write;
                write(self)?.encode(buf)
            }
        }

        impl<'r, DB: Database> Decode<'r, DB> for $value where $kept: Decode<'r, DB> {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let read: fn($kept) -> Result<$value, BoxDynError> = $read;
                read(<$kept>::decode(value)?)
            }
        }
    )*};
}

columns! {
    AccountId as String: |id| Ok(id.to_string()), |text| Ok(text.parse()?);
    UserId as String: |id| Ok(id.to_string()), |text| Ok(text.parse()?);
    TokenId as String: |id| Ok(id.to_string()), |text| Ok(text.parse()?);
    RoleBindingId as String: |id| Ok(id.to_string()), |text| Ok(text.parse()?);
    EventId as String: |id| Ok(id.to_string()), |text| Ok(text.parse()?);
    Role as String: |role| Ok(role.to_string()), |text| Ok(text.parse()?);
    UserState as String: |state| Ok(state.to_string()), |text| Ok(text.parse()?);
    AuthProvider as String: |provider| Ok(provider.to_string()), |text| Ok(text.parse()?);
    Class as String: |class| Ok(class.to_string()), |text| Ok(text.parse()?);
    Severity as String: |severity| Ok(severity.to_string()), |text| Ok(text.parse()?);
    ResourceName as String: |name| Ok(name.to_string()), |text| Ok(Self::stored(text));
    FreeText as String: |name| Ok(name.to_string()), |text| Ok(Self::stored(text));
    Email as String: |email| Ok(email.to_string()), |text| Ok(Self::stored(text));
    Labels as String: |labels| Ok(serde_json::to_string(labels)?), |text| Ok(serde_json::from_str(&text)?);
    RoleConstraints as String: |all| Ok(serde_json::to_string(all)?), |text| Ok(serde_json::from_str(&text)?);
    PostalAddress as String: |address| Ok(serde_json::to_string(address)?), |text| Ok(serde_json::from_str(&text)?);
    AccountContact as String: |contact| Ok(serde_json::to_string(contact)?), |text| Ok(serde_json::from_str(&text)?);
    Timestamp as i64: |at| Ok(at.as_micros()), |micros| Ok(Self::from_micros(micros));
    SecretDigest as Vec<u8>: |digest| Ok(digest.0.to_vec()), |bytes| Ok(Self(bytes.as_slice().try_into()?));
}

/// `rows!(Deletion { id, user_id, context: RequestContext { uri, method } })`: reads a struct from a row. Columns have
/// the names of its fields, or the names after `as`. A nested struct is read from columns of its own.
macro_rules! rows {
    ($noun:ident $fields:tt) => {
        crate::store::columns::rows!(@impl sqlx::sqlite::SqliteRow, $noun $fields);
        crate::store::columns::rows!(@impl sqlx::postgres::PgRow, $noun $fields);
    };
    (@impl $row:ty, $noun:ident {
        $($field:ident $(: $($part:ident)::+ { $($column:ident),* $(,)? })?),* $(,)?
    }) => {
        impl sqlx::FromRow<'_, $row> for $noun {
            fn from_row(row: &$row) -> sqlx::Result<Self> {
                use sqlx::Row as _;
                Ok(Self {
                    $($field: crate::store::columns::rows!(@read row, $field $(,
                        $($part)::+ { $($column)* })?),)*
                })
            }
        }
    };
    (@read $row:ident, $field:ident) => {
        $row.try_get(stringify!($field))?
    };
    (@read $row:ident, $field:ident, $($part:ident)::+ { $($column:ident)* }) => {
        $($part)::+ { $($column: $row.try_get(stringify!($column))?,)* }
    };
}
pub(super) use rows;
