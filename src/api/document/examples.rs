//! The document's examples: they all use the same account, its owner, and the owner's token, which `tokenward serve
//! --demo` has too.

use poem::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

use crate::{
    api::{
        operations::{Noun, Operation, Shape},
        pages::problems as pages,
        wire::{catalogue::Kind, oauth_error::OAuthError, problem::Problem, validators},
    },
    domain::{clock::Timestamp, sample},
};

/// A well-formed secret that belongs to no token.
pub(in crate::api) const SECRET: &str = "tokward0000000000000000000000000000000000000000000EXAMPL";
/// The example of a schema, as a response of that status contains it.
pub(in crate::api) fn body(schema: &str, status: &str) -> Option<Value> {
    use sample::{ACCOUNT, ACCOUNT_NAME, COLLEAGUE, CORRELATION, EVENT, ROLE_BINDING, TOKEN, TOKEN_NAME, USER};
    let created = sample::CREATED.to_string();
    let [email, first, last] = sample::OWNER;
    let address = json!({ "addressCountry": "US", "addressLocality": "Arlington", "addressRegion": "VA",
        "postalCode": "22201",
        "streetAddress1": "1 Example Street", "streetAddress2": "Suite 2" });
    let labels = json!([{ "name": sample::LABEL.0, "value": sample::LABEL.1 }]);
    let metadata =
        json!({ "labels": labels, "creationTimestamp": created, "modificationTimestamp": created, "createdBy": USER });
    let token = json!({ "type": "application/astra-token", "version": "1.0", "id": TOKEN, "name": TOKEN_NAME,
        "userID": USER,
        "metadata": metadata });
    let person = |id: &str, [email, first, last]: [&str; 3]| {
        json!({ "type": "application/astra-user", "version": "1.2", "id": id, "state": "active", "isEnabled": "true",
            "authID": email, "authProvider": "local", "firstName": first, "lastName": last, "email": email,
            "sendWelcomeEmail": "false", "enableTimestamp": created, "metadata": metadata })
    };
    let user = person(USER, sample::OWNER);
    let binding = json!({ "type": "application/astra-roleBinding", "version": "1.1", "id": ROLE_BINDING,
        "principalType": "user",
        "userID": USER, "groupID": "00000000-0000-0000-0000-000000000000", "accountID": ACCOUNT, "role": "owner",
        "roleConstraints": ["*"], "metadata": metadata });
    let account = json!({ "type": "application/astra-account", "version": "1.0", "id": ACCOUNT, "name": ACCOUNT_NAME,
        "state": "active",
        "isEnabled": "true", "enabledTimestamp": created, "metadata": metadata });
    // The fifth event: events are one microsecond apart.
    let noted = Timestamp::from_micros(sample::CREATED.as_micros() + 5).to_string();
    let event = json!({ "type": "application/astra-event", "version": "1.4", "id": EVENT, "name": "token.created",
        "sequenceCount": 5,
        "summary": "Token created", "eventTime": noted, "source": "tokenward", "resourceID": TOKEN,
            "additionalResourceIDs": [USER],
        "resourceType": "application/astra-token", "correlationID": CORRELATION, "severity": "informational",
            "class": "user",
        "description": format!("The token {TOKEN} was created."),
        "resourceURI": format!("/accounts/{ACCOUNT}/core/v1/users/{USER}/tokens"), "resourceMethod": "post",
        "resourceMethodResult": "201", "userID": USER, "accountID": ACCOUNT,
        "metadata": { "labels": [], "creationTimestamp": noted, "modificationTimestamp": noted, "createdBy": USER } });
    let collection = |r#type: &str, version: &str, items: &[&Value]| {
        json!({ "type": r#type, "version": version,
        "items": items, "metadata": { "count": items.len() } })
    };
    let with = |mut object: Value, name: &str, value: Value| {
        if let Some(object) = object.as_object_mut() {
            object.insert(name.to_owned(), value);
        }
        object
    };
    Some(match schema {
        "FieldValue" => json!(TOKEN_NAME),
        "Token" => token,
        "IssuedToken" => with(token, "token", json!(SECRET)),
        "TokenList" => collection("application/astra-tokens", "1.0", &[&token]),
        "User" => user,
        "UserList" => collection("application/astra-users", "1.2", &[&user, &person(COLLEAGUE, sample::OTHER)]),
        "NewUser" => {
            json!({ "type": "application/astra-user", "version": "1.2", "email": "ada@example.com", "firstName": "Ada",
            "lastName": "Lovelace" })
        }
        "UserChange" => {
            json!({ "type": "application/astra-user", "version": "1.2", "companyName": "Example Inc.", "phone": "+1 \
                555 0100" })
        }
        "RoleBinding" => binding,
        "RoleBindingList" => collection("application/astra-roleBindings", "1.1", &[&binding]),
        "NewRoleBinding" => {
            json!({ "type": "application/astra-roleBinding", "version": "1.1", "userID": COLLEAGUE,
                "accountID": ACCOUNT,
            "role": "member" })
        }
        "RoleBindingChange" => {
            json!({ "type": "application/astra-roleBinding", "version": "1.1", "role": "owner",
                "roleConstraints": ["*"] })
        }
        "Account" => account,
        "AccountList" => collection("application/astra-accounts", "1.0", &[&account]),
        "NewAccount" => json!({ "type": "application/astra-account", "version": "1.0", "name": "second" }),
        "AccountChange" => {
            json!({ "type": "application/astra-account", "version": "1.0", "name": "renamed", "isEnabled": "true" })
        }
        "Event" => event,
        "EventList" => collection("application/astra-events", "1.4", &[&event]),
        "NewToken" => json!({ "type": "application/astra-token", "version": "1.0", "name": "CI/CD (nightly)",
            "metadata": { "labels": labels } }),
        "TokenChange" => json!({ "type": "application/astra-token", "version": "1.0", "name": "CI/CD (release) #4" }),
        "PostalAddress" | "PostalAddressChange" => address,
        "AccountContact" | "AccountContactChange" => {
            json!({ "firstName": first, "lastName": last, "companyName": "Example Inc.",
            "email": email, "phone": "+1 555 0100", "postalAddress": address })
        }
        "Label" => labels.get(0).cloned()?,
        "Metadata" | "MetadataChange" => with(metadata, "modifiedBy", json!(USER)),
        "Fault" => json!({ "name": "name", "reason": "must not begin or end with a space" }),
        "ListMetadata" => json!({ "count": 1 }),
        "Identifier" => json!(TOKEN),
        "Time" => json!(created),
        "Secret" => json!(SECRET),
        "Continuation" => json!("eyJwIjoyfQ=="),
        other => return of_others(other, status),
    })
}

/// The example of a schema of the operations on secrets and on the server itself.
fn of_others(schema: &str, status: &str) -> Option<Value> {
    use sample::{ACCOUNT, TOKEN, TOKEN_NAME, USER};
    let [email, ..] = sample::OWNER;
    Some(match schema {
        "Explanation" => pages::sample()?.into_iter().next()?,
        "Health" if status == "503" => json!({ "status": "unavailable", "reason": "the database doesn't answer" }),
        "Health" => json!({ "status": "ok" }),
        "WhoAmI" => json!({ "tokenID": TOKEN, "tokenName": TOKEN_NAME, "userID": USER, "email": email,
            "accountID": ACCOUNT, "role": "owner", "roleConstraints": ["*"] }),
        "LeakReport" => json!({ "secrets": [SECRET] }),
        "TokenForm" => json!({ "token": SECRET, "token_type_hint": "access_token" }),
        "Introspection" => json!({ "active": true, "sub": USER, "username": email, "client_id": TOKEN,
            "token_type": "Bearer", "iat": 1_768_469_400, "jti": TOKEN, "iss": "https://tokens.example",
                "scope": "viewer member admin owner",
            "account": ACCOUNT, "role": "owner", "role_constraints": ["*"] }),
        "OAuthError" => json!(OAuthError::of(&Problem::InvalidToken)),
        _ => return None,
    })
}

/// The entity tag of the example of a noun.
pub(in crate::api) fn etag(noun: Noun) -> String {
    let schema = match noun {
        Noun::Token => "Token",
        Noun::RoleBinding => "RoleBinding",
        Noun::Event => "Event",
        Noun::User => "User",
        _ => "Account",
    };
    validators::etag(&serde_json::to_vec(&body(schema, "")).unwrap_or_default())
}

/// The example of an HTML page.
pub(in crate::api) fn page() -> Option<Value> {
    pages::sample()?.into_iter().next_back()
}

/// The example of a path parameter.
pub(in crate::api) fn path(name: &str, row: &Operation) -> Option<Value> {
    Some(json!(match name {
        "number" => return Some(json!(3)),
        "account_id" => sample::ACCOUNT,
        // The owner already has a role, so the example grants one to the colleague, who has none.
        "user_id" if row.shape == Shape::Create && row.noun == Noun::RoleBinding => sample::COLLEAGUE,
        "user_id" => sample::USER,
        "token_id" => sample::TOKEN,
        "roleBinding_id" => sample::ROLE_BINDING,
        "event_id" => sample::EVENT,
        _ => return None,
    }))
}

/// Adds an example to each field of a schema, or to the schema itself if it has no fields. A field that refers to
/// another schema has its example there.
pub(in crate::api) fn add(name: &str, schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) if object.properties.is_empty() => {
            let constant = object.enum_values.iter().flatten().next().cloned();
            object.examples.extend(body(name, "").or(constant));
        }
        RefOr::T(Schema::Object(object)) => {
            for (field, schema) in &mut object.properties {
                let Some(value) = field_example(name, field) else { continue };
                match schema {
                    RefOr::T(Schema::Object(object)) => object.examples.push(value),
                    RefOr::T(Schema::Array(array)) => array.examples.push(value),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// The example of a field: from the example of the schema or, if that lacks the field, of the resource that a request
/// with this schema creates or changes.
fn field_example(schema: &str, field: &str) -> Option<Value> {
    let resource = schema.trim_start_matches("New").trim_end_matches("Change");
    let of = |schema: &str, status: &str| body(schema, status)?.get(field).cloned();
    of(schema, "")
        .or_else(|| of(schema, "503"))
        .or_else(|| of(resource, ""))
        .or_else(|| of("AccountContact", ""))
        .or_else(|| problem_field(field))
}

/// The example of a field that only some problems have.
fn problem_field(field: &str) -> Option<Value> {
    let sentence = "The user has 10000 tokens, the most that this server allows: revoke some first.";
    let quota = Problem::QuotaReached(sentence.to_owned()).body(&Method::GET, sample::CORRELATION);
    let kinds = [Kind::InvalidQuery, Kind::NotTheSchema, Kind::InvalidFields]
        .map(|kind| json!(Problem::sample_body(kind, sample::CORRELATION)));
    kinds.into_iter().chain(serde_json::to_value(quota).ok()).find_map(|body| body.get(field).cloned())
}
