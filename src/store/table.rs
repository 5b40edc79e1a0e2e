//! Tables: what the store writes of a noun follows from one list of its columns.

/// `table! { "tokens" holds token: Token as "application/astra-token" "1.0", given digest: SecretDigest; … }`: a table, the noun that a row
/// of it is, and what the noun says it is. Every noun has an `id`, which isn't listed. The rows of the list:
///
/// - `mut name: Text as "name",` is a column that updates write. It is a field of the noun, and compares as [`Kind::Text`] where clients
///   name it `name`.
/// - `const user_id: Text as "userID",` is a column that only inserts write.
/// - `const account_id,` is a column that clients can't name.
/// - `mut profile.phone: …` is a field of the noun's part. The head names that: `holds user: User with profile: Profile`.
/// - `const digest = digest,` is a column that isn't read with the noun. Its value is made of the noun and of what is `given` to inserts.
/// - `_: Constant("user") as "principalType",` is a name for something that has no column of its own.
/// - `metadata,` stands at the end, for the columns and names that all nouns but events have in common.
///
/// In the order of the list follow:
///
/// - `FIELDS`, the fields that filters, orders and includes may name;
/// - `columns!()`, the columns to select;
/// - how a row is read;
/// - `insert(writer, noun, given…)` and `update(writer, noun)`; or `insert(writer, nouns)` alone, if the table `holds many event: Event`.
///
/// [`Kind::Text`]: crate::domain::collection::Kind::Text
macro_rules! table {
    ($table:literal holds many $it:ident: $noun:ident as $type:literal $version:literal; $($rows:tt)*) => {
        table!(@rows $it [$noun ($type $version) many ($table)] [] [] [] [] [] $($rows)*);
    };
    (
        $table:literal holds $it:ident: $noun:ident $(with $part:ident: $of:ident)? as $type:literal $version:literal
        $(, given $given:ident: $given_type:ty)?; $($rows:tt)*
    ) => {
        table!(@rows $it [$noun ($type $version) one ($table $($given: $given_type)?)] [] [$($part: $of: )?] [] [] [] $($rows)*);
    };

    (@rows $it:ident $head:tt $own:tt $part:tt [] $kept:tt $fields:tt metadata,) => {
        table!(
            @rows $it $head $own $part [metadata: ] $kept $fields
            _: Object as "metadata",
            mut metadata.labels: Label("name") as "metadata.labels[*].name",
            _: Label("value") as "metadata.labels[*].value",
            const metadata.created_at: Instant as "metadata.creationTimestamp",
            mut metadata.modified_at: Instant as "metadata.modificationTimestamp",
            const metadata.created_by: Text as "metadata.createdBy",
            mut metadata.modified_by: OptionalText as "metadata.modifiedBy",
        );
    };

    // Row by row, what it says goes to the lists: of the noun's own columns, its part's and its metadata's; of all columns with their
    // values; and of the fields.
    (
        @rows $it:ident $head:tt $own:tt $part:tt $metadata:tt $kept:tt [$($fields:tt)*]
        _: $kind:ident $(($text:literal))? as $path:literal, $($rest:tt)*
    ) => {
        table!(@rows $it $head $own $part $metadata $kept [$($fields)* ($path $kind _ $($text)?)] $($rest)*);
    };
    (
        @rows $it:ident $head:tt $own:tt $part:tt $metadata:tt [$($kept:tt)*] $fields:tt
        $change:tt $column:ident = $value:expr, $($rest:tt)*
    ) => {
        table!(@rows $it $head $own $part $metadata [$($kept)* ($change $column ($value))] $fields $($rest)*);
    };
    (
        @rows $it:ident $head:tt $own:tt $part:tt [$($metadata:tt)*] [$($kept:tt)*] [$($fields:tt)*]
        $change:tt metadata.$column:ident: $kind:ident $(($text:literal))? as $path:literal, $($rest:tt)*
    ) => {
        table!(
            @rows $it $head $own $part [$($metadata)* $column] [$($kept)* ($change $column (&$it.metadata.$column))]
            [$($fields)* ($path $kind $column $($text)?)] $($rest)*
        );
    };
    (
        @rows $it:ident $head:tt $own:tt [$($part:tt)*] $metadata:tt [$($kept:tt)*] [$($fields:tt)*]
        $change:tt $in:ident.$column:ident $(: $kind:ident as $path:literal)?, $($rest:tt)*
    ) => {
        table!(
            @rows $it $head $own [$($part)* $column] $metadata [$($kept)* ($change $column (&$it.$in.$column))]
            [$($fields)* $(($path $kind $column))?] $($rest)*
        );
    };
    (
        @rows $it:ident $head:tt [$($own:tt)*] $part:tt $metadata:tt [$($kept:tt)*] [$($fields:tt)*]
        $change:tt $column:ident $(: $kind:ident as $path:literal)?, $($rest:tt)*
    ) => {
        table!(
            @rows $it $head [$($own)* $column] $part $metadata [$($kept)* ($change $column (&$it.$column))]
            [$($fields)* $(($path $kind $column))?] $($rest)*
        );
    };

    // All rows are on the lists.
    (
        @rows $it:ident [$noun:ident ($type:literal $version:literal) $many:ident $given:tt]
        [$($own:ident)*] [$($part:ident: $of:ident: $($of_part:ident)*)?] [$($metadata:ident: $($of_metadata:ident)*)?] $kept:tt
        [$(($path:literal $($kind:tt)*))*]
    ) => {
        /// The fields that filters, orders and includes may name.
        pub static FIELDS: &[crate::domain::collection::Field] = {
            use crate::domain::collection::{Field, Kind};
            &[
                Field::new("type", Kind::Constant($type)),
                Field::new("version", Kind::Constant($version)),
                Field::new("id", Kind::Text("id")),
                $(Field::new($path, table!(@kind $($kind)*)),)*
            ]
        };

        macro_rules! columns {
            () => {
                concat!(
                    "id" $(, ", ", stringify!($own))* $($(, ", ", stringify!($of_part))*)? $($(, ", ", stringify!($of_metadata))*)?
                )
            };
        }

        crate::store::columns::rows!($noun {
            id $(, $own)* $(, $part: $of { $($of_part),* })?
            $(, $metadata: crate::domain::metadata::Metadata { $($of_metadata),* })?
        });

        table!(@$many $it $noun $given $kept);
    };

    (@kind Object $($text:tt)*) => { Kind::Object };
    (@kind $kind:ident $column:ident) => { Kind::$kind(stringify!($column)) };
    (@kind $kind:ident $column:tt $text:literal) => { Kind::$kind($text) };

    (
        @one $it:ident $noun:ident ($table:literal $($given:ident: $given_type:ty)?)
        [$(($(const $fixed:ident ($fixed_value:expr))? $(mut $changing:ident ($value:expr))?))*]
    ) => {
        /// Keeps a new row.
        async fn insert(
            writer: &mut crate::store::Writer, $it: &$noun $(, $given: $given_type)?
        ) -> Result<(), crate::store::StoreError> {
            const INSERT: &str = concat!(
                "INSERT INTO ", $table, " (id" $($(, ", ", stringify!($fixed))? $(, ", ", stringify!($changing))?)*, ") VALUES ($1, ",
                crate::store::table::numbered!(values $($($fixed)? $($changing)?)*), ")"
            );
            crate::store::on!(writer, c => sqlx::query(INSERT).bind(&$it.id)$($(.bind($fixed_value))? $(.bind($value))?)*
                .execute(c).await.map(drop))?;
            Ok(())
        }

        /// Keeps the new state of a row.
        async fn update(writer: &mut crate::store::Writer, $it: &$noun) -> Result<(), crate::store::StoreError> {
            const UPDATE: &str = concat!(
                "UPDATE ", $table, " SET ", crate::store::table::numbered!(set $($($changing)?)*), " WHERE id = $1"
            );
            crate::store::on!(writer, c => sqlx::query(UPDATE).bind(&$it.id)$($(.bind($value))?)*.execute(c).await.map(drop))?;
            Ok(())
        }
    };
    (@many $it:ident $noun:ident ($table:literal) [$((const $column:ident ($value:expr)))*]) => {
        /// Keeps new rows.
        async fn insert(writer: &mut crate::store::Writer, nouns: &[$noun]) -> Result<(), crate::store::StoreError> {
            const INSERT: &str = concat!("INSERT INTO ", $table, " (id" $(, ", ", stringify!($column))*, ") ");
            for some in nouns.chunks(crate::store::table::AT_ONCE) {
                crate::store::on!(writer, c => {
                    let mut query = sqlx::QueryBuilder::new(INSERT);
                    query.push_values(some, |mut row, $it| {
                        row.push_bind(&$it.id)$(.push_bind($value))*;
                    });
                    let is_usual = some.len() == 1 || some.len() == crate::store::table::AT_ONCE;
                    query.build().persistent(is_usual).execute(c).await.map(drop)
                })?;
            }
            Ok(())
        }
    };
}
pub(super) use table;

/// How many rows one statement keeps: SQLite and PostgreSQL take some ten thousand values.
pub(super) const AT_ONCE: usize = 50;

/// `numbered!(values name labels)`: `$2, $3`. `numbered!(set name labels)`: `name = $2, labels = $3`.
macro_rules! numbered {
    (@ $between:literal [$number:literal $($numbers:literal)*] values $column:ident $($rest:ident)*) => {
        concat!($between, "$", $number, crate::store::table::numbered!(@ ", " [$($numbers)*] values $($rest)*))
    };
    (@ $between:literal [$number:literal $($numbers:literal)*] set $column:ident $($rest:ident)*) => {
        concat!(
            $between, stringify!($column), " = $", $number,
            crate::store::table::numbered!(@ ", " [$($numbers)*] set $($rest)*)
        )
    };
    (@ $between:literal $numbers:tt $what:ident) => { "" };
    ($what:ident $($column:ident)*) => {
        crate::store::table::numbered!(
            @ "" [2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32] $what $($column)*
        )
    };
}
pub(super) use numbered;
