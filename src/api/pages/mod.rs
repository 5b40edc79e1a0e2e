//! Pages for people: Swagger UI, and the explanation of each problem.

pub(in crate::api) mod problems;
pub(in crate::api) mod swagger_ui;
