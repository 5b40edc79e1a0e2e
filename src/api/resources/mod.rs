//! The resources of the contract, as responses show them and requests send them; one file per kind of resource.

pub(in crate::api) mod account;
pub(in crate::api) mod event;
pub(in crate::api) mod postal_address;
pub(in crate::api) mod role_binding;
pub(in crate::api) mod token;
pub(in crate::api) mod user;
