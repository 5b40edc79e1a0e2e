//! The parameters in the document that annotations don't declare: query parameters of collections and of `/verify`,
//! conditional headers; and the examples of all parameters.

use serde_json::json;
use utoipa::openapi::{
    Header, RefOr, Required, Schema,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

use super::examples;
use crate::{
    api::{
        operations::{Errors, Noun, Operation, Shape},
        request::collection::PARAMETERS,
        resources::{account::Account, event::Event, role_binding::RoleBinding, token::Token, user::User},
        wire::{resource::Resource as _, scalar::IDENTIFIER},
    },
    domain::{
        collection::{Field, Order},
        role::Role,
        sample,
    },
};

/// Completes the parameters of an operation.
pub(in crate::api) fn add(row: &Operation, parameters: &mut Vec<RefOr<Parameter>>) {
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            *parameter =
                ParameterBuilder::from(parameter.clone()).example(examples::path(&parameter.name, row)).build();
        }
    }
    if row.shape == Shape::List
        && let Some(collection) = Collection::of(row.noun)
    {
        parameters.extend(PARAMETERS.iter().map(|name| RefOr::T(query_parameter(name, &collection))));
    }
    if row.errors == Errors::Bare {
        parameters.extend(demands().map(RefOr::T));
    }
    parameters.extend(row.conditions().iter().map(|name| RefOr::T(condition(name, row.noun))));
}

/// The query parameters of `/verify`: what a proxy may require of a token.
fn demands() -> [Parameter; 2] {
    let roles = Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join("|");
    let account = "Only if the user has a role in this account. Else it is the account that the user was created in.";
    let role = "Only if the user's role is at least this one: viewer, member, admin or owner.";
    [
        parameter("account", ParameterIn::Query, account, Some(IDENTIFIER), sample::ACCOUNT),
        parameter("role", ParameterIn::Query, role, Some(&format!("^({roles})$")), "member"),
    ]
}

/// The facts about a collection that its query parameters depend on.
struct Collection {
    fields: &'static [Field],
    /// The field that the examples name, and its value in them.
    requested: (&'static str, &'static str),
}

impl Collection {
    /// The collection of that noun.
    fn of(noun: Noun) -> Option<Self> {
        let (fields, requested) = match noun {
            Noun::Token => (Token::fields(), ("name", "CI/CD (main) #4")),
            Noun::User => (User::fields(), ("email", "grace@example.com")),
            Noun::RoleBinding => (RoleBinding::fields(), ("role", "member")),
            Noun::Account => (Account::fields(), ("name", "main")),
            Noun::Event => (Event::fields(), ("name", "token.created")),
            Noun::Explanation | Noun::Process => return None,
        };
        Some(Self { fields, requested })
    }

    /// The pattern of `include`, and an example.
    fn include(&self) -> (String, String) {
        let any = alternatives(self.fields.iter().filter(|field| field.is_top_level()));
        (format!("^{any}(,{any})*$"), format!("id,{}", self.requested.0))
    }

    /// The pattern of `orderBy`, and an example.
    fn order(&self) -> (String, String) {
        let any = alternatives(self.fields.iter().filter(|field| Order::new(field, false).is_ok()));
        (format!("^{any}( desc)?$"), format!("{} desc", self.requested.0))
    }

    /// An example of `filter`; a pattern can't express its syntax.
    fn filter(&self) -> String {
        let (field, value) = self.requested;
        format!("{field} eq '{value}'")
    }
}

fn alternatives<'f>(fields: impl Iterator<Item = &'f Field>) -> String {
    let names: Vec<&str> = fields.map(|field| field.path).collect();
    format!("({})", names.join("|"))
}

fn parameter(name: &str, place: ParameterIn, description: &str, pattern: Option<&str>, example: &str) -> Parameter {
    // The example of an optional parameter is in its schema: next to it, Swagger UI would send it as the user's value.
    let examples = (!example.is_empty()).then(|| json!(example));
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(pattern).examples(examples).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::Object(schema)))
        .build()
}

fn query_parameter(name: &str, collection: &Collection) -> Parameter {
    const NUMBER: &str = "^[1-9][0-9]*$";
    let (include, columns) = collection.include();
    let (order_by, order) = collection.order();
    let filter = collection.filter();
    let (pattern, example, description) = match name {
        "include" => (
            Some(include.as_str()),
            columns.as_str(),
            "Return just these fields of each item, as arrays, in this order; an absent field is `null`.",
        ),
        "filter" => (
            None,
            filter.as_str(),
            "Return only items for which this holds: `field op 'value'`, where `op` is `eq`, `lt`, `gt`, `lte`, `gte`, \
                or `in` for \
             \"contains the text\". Several conditions, separated by commas, must all hold. Dots lead into objects: \
             `metadata.creationTimestamp gt '2026-01-01T00:00:00Z'`, `metadata.labels[*].name eq 'team'`.",
        ),
        "orderBy" => (
            Some(order_by.as_str()),
            order.as_str(),
            "Sort by this field, or by this field `desc`. Items without it come first; ties follow creation.",
        ),
        "limit" => (Some(NUMBER), "100", "Return at most this many items; never more than the server's page cap."),
        "skip" => (Some(NUMBER), "10", "Pass over this many items first. Has no effect beside `continue`."),
        "count" => (Some("^true$"), "true", "Also count all items that match, on all pages together."),
        _ => (
            Some("^[A-Za-z0-9+/]+={0,2}$"),
            "",
            "Return the page after the one whose `metadata.continue` this is. Filter and order need not be repeated.",
        ),
    };
    parameter(name, ParameterIn::Query, description, pattern, example)
}

fn condition(name: &str, noun: Noun) -> Parameter {
    const TAGS: Option<&str> = Some(r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#);
    let (etag, date) = (examples::etag(noun), "Thu, 15 Jan 2026 09:30:00 GMT");
    let (pattern, example, description) = match name {
        "If-Match" => (TAGS, etag.as_str(), "Only if the resource still has one of these entity tags."),
        "If-None-Match" => (TAGS, etag.as_str(), "Only if the resource has none of these entity tags."),
        "If-Unmodified-Since" => (None, date, "Only if the resource hasn't changed since. `If-Match` overrides it."),
        _ => (None, date, "Only if the resource has changed since. `If-None-Match` overrides it."),
    };
    parameter(name, ParameterIn::Header, description, pattern, example)
}

pub(in crate::api) fn header(description: &str) -> RefOr<Header> {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(description.to_owned());
    RefOr::T(header)
}
