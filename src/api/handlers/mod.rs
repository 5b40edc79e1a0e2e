//! The operations of the contract, one file per kind of resource.

pub(in crate::api) mod accounts;
pub(in crate::api) mod events;
pub(in crate::api) mod role_bindings;
pub(in crate::api) mod tokens;
pub(in crate::api) mod users;
