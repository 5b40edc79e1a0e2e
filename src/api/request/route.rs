//! The routes and their operations, read from the document, so that document and behaviour agree.

use std::{collections::BTreeMap, sync::Arc};

use poem::http::Method;
use utoipa::openapi::{OpenApi, RefOr, path::ParameterIn};

use crate::{
    api::operations::{self, Shape},
    domain::id::parse_identifier,
};

/// The facts about an operation that the gate needs.
#[derive(Debug)]
pub(in crate::api) struct RoutedOperation {
    /// The operation's row in the table of operations.
    pub row: &'static operations::Operation,
    /// The names of the operation's query parameters.
    pub query: Vec<String>,
    /// The status of the successful response.
    pub status: String,
    /// The media types of the successful response.
    pub offers: Vec<String>,
}

/// A path of the document and its methods.
#[derive(Debug)]
pub(in crate::api) struct Route {
    /// The path's template, as in the document.
    pub template: String,
    methods: BTreeMap<String, RoutedOperation>,
}

/// All routes.
#[derive(Debug)]
pub(in crate::api) struct Routes(Vec<Arc<Route>>);

impl Routes {
    /// Reads the routes from the document.
    pub fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(template, item)| {
            let methods = [("GET", &item.get), ("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete)];
            let methods = methods.into_iter().filter_map(|(method, operation)| {
                let operation = operation.as_ref()?;
                let row = operations::Operation::named(operation.operation_id.as_deref()?)?;
                let query = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
                    _ => None,
                });
                // The statuses are in ascending order, so the first is that of success.
                let (status, response) = operation.responses.responses.iter().next()?;
                let offers = match response {
                    RefOr::T(response) => response.content.keys().cloned().collect(),
                    RefOr::Ref(_) => vec![],
                };
                Some((
                    method.to_owned(),
                    RoutedOperation { row, query: query.collect(), status: status.clone(), offers },
                ))
            });
            Arc::new(Route { template: template.clone(), methods: methods.collect() })
        });
        Self(routes.collect())
    }

    /// The route of a path. A parameter matches any single non-empty segment; everything else must match exactly.
    pub fn find(&self, path: &str) -> Option<Arc<Route>> {
        let found = self.0.iter().find(|route| {
            let mut given = path.split('/');
            let fits = route.template.split('/').all(|wanted| match given.next() {
                Some(segment) if wanted.starts_with('{') => !segment.is_empty(),
                segment => segment == Some(wanted),
            });
            fits && given.next().is_none()
        });
        found.cloned()
    }
}

impl Route {
    /// The path with the nil UUID in place of every malformed identifier; `None` if all are well-formed. Neither names
    /// a resource, so neither the response nor the order of checks distinguishes a malformed identifier from an unknown
    /// one (spec/contract/CONTRACT.md §2, §3).
    pub fn repaired(&self, path: &str) -> Option<String> {
        let nil = uuid::Uuid::nil().to_string();
        let mut malformed = false;
        let segments: Vec<&str> = self
            .template
            .split('/')
            .zip(path.split('/'))
            .map(|(wanted, given)| {
                let good = !wanted.starts_with('{') || parse_identifier(given).is_some();
                malformed |= !good;
                if good { given } else { &nil }
            })
            .collect();
        malformed.then(|| segments.join("/"))
    }

    /// The operation of a method; `HEAD` has the operation of `GET`.
    pub fn operation(&self, method: &Method) -> Option<&RoutedOperation> {
        self.methods.get(if *method == Method::HEAD { "GET" } else { method.as_str() })
    }

    /// Whether one of the route's operations verifies tokens.
    pub fn verifies(&self) -> bool {
        self.methods.values().any(|operation| operation.row.shape == Shape::Ask)
    }

    /// The value of the header `Allow`.
    pub fn allowed(&self) -> String {
        let methods = self.methods.keys().map(String::as_str);
        let head = self.methods.contains_key("GET").then_some("HEAD");
        methods.chain(head).collect::<Vec<_>>().join(", ")
    }
}
