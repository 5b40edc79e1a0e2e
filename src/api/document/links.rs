//! The links of responses: from a created resource to the operations on it, and from a retrieved version to the
//! operations that change it. Programs can derive sequences of operations from them, and readers see which id is used
//! where.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{
    Paths, RefOr, Response,
    link::{Link, LinkBuilder},
    path::{Operation, PathItem},
};

use crate::api::operations::{self, Noun, Shape, Within};

/// The id of the created resource.
const NEW_ID: &str = "$response.body#/id";
/// The entity tag of the retrieved version.
const ETAG: &str = "$response.header.ETag";

/// Adds the links, which follow from the paths and the table of operations.
pub(in crate::api) fn add(paths: &mut Paths) {
    let targets: Vec<(String, Target)> =
        paths.paths.iter().flat_map(|(path, item)| targets(item).map(|target| (path.clone(), target))).collect();
    for (path, item) in &mut paths.paths {
        if let Some(created) = answer(&mut item.post, "201") {
            let below = targets.iter().filter(|(target, _)| is_just_below(path, target));
            created.links.extend(below.map(|(target, operation)| operation.link(parameters(target, path), None)));
        }
        if let Some(read) = answer(&mut item.get, "200") {
            let same = targets.iter().filter(|(target, operation)| target == path && operation.heeds_etag());
            read.links.extend(same.map(|(target, operation)| operation.link(parameters(target, path), Some(ETAG))));
        }
    }
}

/// An operation that a link can lead to.
struct Target {
    row: &'static operations::Operation,
    summary: String,
}

impl Target {
    fn of(operation: &Operation) -> Option<Self> {
        let row = operations::Operation::named(operation.operation_id.as_deref()?)?;
        Some(Self { row, summary: operation.summary.clone().unwrap_or_default() })
    }

    /// Whether it changes a resource on the condition that the version is still the retrieved one.
    fn heeds_etag(&self) -> bool {
        matches!(self.row.shape, Shape::Modify | Shape::Delete)
    }

    fn link(&self, mut parameters: BTreeMap<String, Value>, etag: Option<&str>) -> (String, RefOr<Link>) {
        let unless_changed = if etag.is_some() { ", unless it has changed meanwhile" } else { "" };
        parameters.extend(etag.map(|etag| ("If-Match".to_owned(), json!(etag))));
        let description = format!("{}{unless_changed}.", self.summary);
        let link = LinkBuilder::new().operation_id(self.row.id).description(description).request_body(self.body());
        let link = parameters.into_iter().fold(link, |link, (name, value)| link.parameter(name, value));
        (self.row.id.to_owned(), RefOr::T(link.build()))
    }

    /// The body that creates a role binding below a user: it must name the user and the account again.
    fn body(&self) -> Option<Value> {
        (self.row.shape == Shape::Create && self.row.noun == Noun::RoleBinding && self.row.within == Within::User).then(
            || {
                json!({ "type": "application/astra-roleBinding", "version": "1.1", "userID": NEW_ID,
                "accountID": "$request.path.account_id", "role": "member" })
            },
        )
    }
}

fn targets(item: &PathItem) -> impl Iterator<Item = Target> {
    [&item.get, &item.post, &item.put, &item.delete].into_iter().filter_map(|operation| Target::of(operation.as_ref()?))
}

fn answer<'o>(operation: &'o mut Option<Operation>, status: &str) -> Option<&'o mut Response> {
    match operation.as_mut()?.responses.responses.get_mut(status)? {
        RefOr::T(response) => Some(response),
        RefOr::Ref(_) => None,
    }
}

/// Whether a path continues that of the collection with the id of an item, and has no further parameters.
fn is_just_below(collection: &str, path: &str) -> bool {
    path.strip_prefix(collection).is_some_and(|rest| rest.starts_with("/{") && rest.matches('{').count() == 1)
}

/// The parameters of the target's path: taken from the path of the request if it has them, else the id of the created
/// resource.
fn parameters(target: &str, from: &str) -> BTreeMap<String, Value> {
    let names = target.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let valued = names.map(|name| {
        let known = from.contains(&format!("{{{name}}}"));
        (name.to_owned(), if known { json!(format!("$request.path.{name}")) } else { json!(NEW_ID) })
    });
    valued.collect()
}
