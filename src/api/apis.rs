//! The list of all handler types, as poem-openapi's `OpenApiService` takes it.

use super::{
    handlers::{accounts::Accounts, events::Events, role_bindings::RoleBindings, tokens::Tokens, users::Users},
    pages::problems::Help,
    process::health::Operations,
    verification::{leaks::Leaks, oauth2::OAuth2, verify::Verifications},
};

macro_rules! apis {
    ($($api:ident),* $(,)?) => {
        type Apis = ($($api,)*);
        pub(super) const APIS: Apis = ($($api,)*);
    };
}

apis!(Tokens, Users, RoleBindings, Accounts, Events, Verifications, OAuth2, Leaks, Help, Operations);
