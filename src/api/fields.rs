//! Which fields of a collection's items the document lets `include`, `filter` and `orderBy` name, and an example of each.

use super::{account::Account, event::Event, resource::Resource as _, role_binding::RoleBinding, token::Token, user::User};
use crate::domain::collection::{Field, Order};

/// A collection, as its query parameters see it.
pub(super) struct Collection {
    fields: &'static [Field],
    /// The field that people look for first, and what it holds in the examples.
    sought: (&'static str, &'static str),
}

impl Collection {
    /// The collection at the end of a path.
    pub fn of(path: &str) -> Option<Self> {
        let (fields, sought) = match path.rsplit('/').next()? {
            "tokens" => (Token::fields(), ("name", "CI/CD (main) #4")),
            "users" => (User::fields(), ("email", "grace@example.com")),
            "roleBindings" => (RoleBinding::fields(), ("role", "member")),
            "accounts" => (Account::fields(), ("name", "main")),
            "events" => (Event::fields(), ("name", "token.created")),
            _ => return None,
        };
        Some(Self { fields, sought })
    }

    /// What `include` takes, and an example.
    pub fn include(&self) -> (String, String) {
        let any = alternatives(self.fields.iter().filter(|field| field.is_top_level()));
        (format!("^{any}(,{any})*$"), format!("id,{}", self.sought.0))
    }

    /// What `orderBy` takes, and an example.
    pub fn order(&self) -> (String, String) {
        let any = alternatives(self.fields.iter().filter(|field| Order::new(field, false).is_ok()));
        (format!("^{any}( desc)?$"), format!("{} desc", self.sought.0))
    }

    /// An example of `filter`; what it takes is more than a pattern can say.
    pub fn filter(&self) -> String {
        let (field, value) = self.sought;
        format!("{field} eq '{value}'")
    }
}

fn alternatives<'f>(fields: impl Iterator<Item = &'f Field>) -> String {
    let names: Vec<&str> = fields.map(|field| field.path).collect();
    format!("({})", names.join("|"))
}
