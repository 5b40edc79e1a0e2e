//! The macro `table!`, which generates the statements and fields of a table from one list of its columns.

/// `table! { "tokens" holds token: Token, given digest: SecretDigest; … }`: a table, and the domain type of its rows.
/// The columns follow; `id` is implied:
///
/// - `mut name: Text as "name",` is a column that updates write, too. It is a field of the type; clients name it
///   `name`, and it is compared as [`Kind::Text`](crate::domain::collection::Kind::Text).
/// - `const user_id: Text as "userID",` is a column that only inserts write.
/// - `const account_id,` is a column that clients can't name.
/// - `mut profile.phone: OptionalText as "phone",` is a field of a nested struct, which is declared in the head: `holds
///   user: User with profile: Profile`.
/// - `const digest = digest,` is a column that isn't read into the type. Its value is an expression of the type's value
///   and, in inserts, of the `given` value.
/// - `_: Constant("user") as "principalType",` is a name without a column of its own. Here, and where something other
///   than the column is compared, the kind has the value or the SQL expression as its argument.
/// - `metadata,` stands at the end, for the columns and names that all types except events have in common.
///
/// The macro generates:
///
/// - `FIELDS`, in the order of the list;
/// - `columns!()`, the columns to select;
/// - the conversion of a row to the type (`FromRow`);
/// - `insert(writer, noun, given)` and `update(writer, noun)`; or only `insert(writer, nouns)` for a table that
///   `holds many event: Event`.
macro_rules! table {
    ($table:literal holds many $it:ident: $noun:ident; $($rows:tt)*) => {
        table!(@ $it [$noun many ($table)] [] [] [] [] $($rows)*);
    };
    (
        $table:literal holds $it:ident: $noun:ident $(with $part:ident: $of:ident)?
        $(, given $given:ident: $given_type:ty)?; $($rows:tt)*
    ) => {
        table!(
            @ $it [$noun one ($table $($given: $given_type)?)] [] [$({ $part ($of) })?] [] [] $($rows)*
        );
    };

    // Each line of the input is added to the lists: the type's own columns; its nested structs with their columns, the
    // current struct first; all columns with their values; the fields.
    (@ $it:ident $head:tt $own:tt [$($parts:tt)*] $all:tt $fields:tt metadata,) => {
        table!(
            @ $it $head $own [{ metadata (crate::domain::metadata::Metadata) } $($parts)*] $all $fields
            _: Object as "metadata",
            mut metadata.labels: Label("name") as "metadata.labels[*].name",
            _: Label("value") as "metadata.labels[*].value",
            const metadata.created_at: Instant as "metadata.creationTimestamp",
            mut metadata.modified_at: Instant as "metadata.modificationTimestamp",
            const metadata.created_by: Text as "metadata.createdBy",
            mut metadata.modified_by: OptionalText as "metadata.modifiedBy",
        );
    };
    (
        @ $it:ident $head:tt $own:tt $parts:tt $all:tt [$($fields:tt)*]
        _: $kind:ident $(($text:literal))? as $path:literal, $($rows:tt)*
    ) => {
        table!(@ $it $head $own $parts $all [$($fields)* ($path $kind _ $($text)?)] $($rows)*);
    };
    (
        @ $it:ident $head:tt $own:tt $parts:tt [$($all:tt)*] $fields:tt
        $change:tt $column:ident = $value:expr, $($rows:tt)*
    ) => {
        table!(@ $it $head $own $parts [$($all)* ($change $column ($value))] $fields $($rows)*);
    };
    (
        @ $it:ident $head:tt [$($own:tt)*] $parts:tt [$($all:tt)*] [$($fields:tt)*]
        $change:tt $column:ident $(: $kind:ident $(($text:literal))? as $path:literal)?, $($rows:tt)*
    ) => {
        table!(
            @ $it $head [$($own)* $column] $parts [$($all)* ($change $column (&$it.$column))]
            [$($fields)* $(($path $kind $column $($text)?))?] $($rows)*
        );
    };
    (
        @ $it:ident $head:tt $own:tt [{ $($part:tt)* } $($parts:tt)*] [$($all:tt)*] [$($fields:tt)*]
        $change:tt $in:ident.$column:ident $(: $kind:ident $(($text:literal))? as $path:literal)?, $($rows:tt)*
    ) => {
        table!(
            @ $it $head $own [{ $($part)* $column } $($parts)*] [$($all)* ($change $column (&$it.$in.$column))]
            [$($fields)* $(($path $kind $column $($text)?))?] $($rows)*
        );
    };

    // All lines of the input have been added to the lists.
    (
        @ $it:ident [$noun:ident $many:ident $kept:tt]
        [$($own:ident)*] [$({ $part:ident ($($of:tt)*) $($of_part:ident)* })*] $all:tt
        [$(($path:literal $($kind:tt)*))*]
    ) => {
        /// The fields that filters, orders and includes may name, except the type and the version.
        pub static FIELDS: &[crate::domain::collection::Field] = {
            use crate::domain::collection::{Field, Kind};
            &[
                Field::new("id", Kind::Text("id")),
                $(Field::new($path, table!(@kind $($kind)*)),)*
            ]
        };

        macro_rules! columns {
            () => { concat!("id" $(, ", ", stringify!($own))* $($(, ", ", stringify!($of_part))*)*) };
        }

        crate::store::columns::rows!($noun { id $(, $own)* $(, $part: $($of)* { $($of_part),* })* });

        table!(@$many $it $noun $kept $all);
    };
    (@kind Object $column:tt) => { Kind::Object };
    (@kind $kind:ident $column:ident) => { Kind::$kind(stringify!($column)) };
    (@kind $kind:ident $column:tt $text:literal) => { Kind::$kind($text) };

    (
        @one $it:ident $noun:ident ($table:literal $($given:ident: $given_type:ty)?)
        [$(($(const $fixed:ident ($fixed_value:expr))? $(mut $column:ident ($value:expr))?))*]
    ) => {
        /// Inserts a row.
        async fn insert(
            writer: &mut crate::store::Writer, $it: &$noun $(, $given: $given_type)?
        ) -> Result<(), crate::store::StoreError> {
            const INSERT: &str = concat!(
                "INSERT INTO ", $table, " (id" $($(, ", ", stringify!($fixed))? $(, ", ", stringify!($column))?)*,
                ") VALUES ($1, ", crate::store::table::numbered!(values $($($fixed)? $($column)?)*), ")"
            );
            Ok(crate::store::on!(writer, c => {
                sqlx::query(INSERT).bind(&$it.id)$($(.bind($fixed_value))? $(.bind($value))?)*
                    .execute(c).await.map(drop)
            })?)
        }

        /// Updates the columns of a row that may change.
        async fn update(
            writer: &mut crate::store::Writer, $it: &$noun
        ) -> Result<(), crate::store::StoreError> {
            const UPDATE: &str = concat!(
                "UPDATE ", $table, " SET ", crate::store::table::numbered!(set $($($column)?)*), " WHERE id = $1"
            );
            Ok(crate::store::on!(writer, c => {
                sqlx::query(UPDATE).bind(&$it.id)$($(.bind($value))?)*.execute(c).await.map(drop)
            })?)
        }
    };
    (@many $it:ident $noun:ident ($table:literal) [$((const $column:ident ($value:expr)))*]) => {
        /// Inserts rows.
        async fn insert(
            writer: &mut crate::store::Writer, nouns: &[$noun]
        ) -> Result<(), crate::store::StoreError> {
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

/// How many rows one statement inserts: SQLite and PostgreSQL accept some ten thousand values.
pub(super) const AT_ONCE: usize = 50;

/// `numbered!(values name labels)`: `$2, $3`. `numbered!(set name labels)`: `name = $2, labels = $3`.
macro_rules! numbered {
    (@ $between:literal [$number:literal $($numbers:literal)*] values $column:ident $($rest:ident)*) => {
        concat!(
            $between, "$", $number,
            crate::store::table::numbered!(@ ", " [$($numbers)*] values $($rest)*)
        )
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
            @ "" [2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32]
            $what $($column)*
        )
    };
}
pub(super) use numbered;

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_numbered_after_the_id() {
        assert_eq!(numbered!(values name labels), "$2, $3");
        assert_eq!(numbered!(set name labels), "name = $2, labels = $3");
    }
}
