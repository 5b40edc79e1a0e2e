//! Every operation of the document, ready to be called.

use serde_json::{Value, json};
use tokenward::{
    api::operations::{Noun, Operation as Row, Shape},
    domain::{id::UserId, role::Role},
};

use crate::app::{App, Call, DOCUMENT};

/// What operations are called on.
#[derive(Clone)]
pub struct Target {
    pub account: String,
    pub user: String,
    pub token: String,
    pub secret: String,
    pub binding: String,
    pub event: String,
}

pub const NOBODY: &str = "11111111-1111-4111-8111-111111111111";

impl Target {
    /// What isn't there, in an account that is.
    pub fn nobody(app: &App) -> Self {
        let nobody = || NOBODY.to_owned();
        Self {
            account: app.account.to_string(),
            user: nobody(),
            token: nobody(),
            secret: nobody(),
            binding: nobody(),
            event: nobody(),
        }
    }
}

impl App {
    /// A new user with a token and perhaps a role, and an event that somebody else caused.
    pub async fn target(&self, email: &str, role: Option<Role>) -> Target {
        let user = self.user(email, role).await;
        self.target_of(user).await
    }

    /// What a user has.
    pub async fn target_of(&self, user: UserId) -> Target {
        let account = self.account.to_string();
        let bindings =
            self.get(format!("/accounts/{account}/core/v1/users/{user}/roleBindings")).expect(200).await.json();
        let binding = bindings["items"][0]["id"].as_str().unwrap_or(NOBODY).to_owned();
        let events = self.get(format!("/accounts/{account}/core/v1/events?limit=1")).expect(200).await.json();
        let event = events["items"][0]["id"].as_str().unwrap().to_owned();
        let (token, secret) = self.token_of(user, "target").await;
        Target { account, user: user.to_string(), token, secret, binding, event }
    }
}

#[derive(Clone)]
pub struct Operation {
    pub id: &'static str,
    pub method: String,
    pub path: &'static str,
    pub row: &'static Row,
}

/// Those below `/accounts`, in the document's order; the one that ends it all comes last.
pub fn all() -> Vec<Operation> {
    among(|path, _| path.starts_with("/accounts"))
}

/// Those, and the ones that verify tokens.
pub fn with_verification() -> Vec<Operation> {
    among(|path, operation| path.starts_with("/accounts") || operation["tags"][0] == "Verification")
}

fn among(wanted: impl Fn(&str, &Value) -> bool) -> Vec<Operation> {
    let mut all = vec![];
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(_, operation)| wanted(path, operation)) {
            let id = operation["operationId"].as_str().unwrap();
            let row = Row::named(id).unwrap_or_else(|| panic!("{id} isn't in the table of operations"));
            all.push(Operation { id, method: method.to_uppercase(), path, row });
        }
    }
    all.sort_by_key(|operation| operation.id == "delete_account");
    assert!(all.len() > 20);
    all
}

impl Operation {
    pub fn is_list(&self) -> bool {
        self.row.shape == Shape::List
    }

    pub fn is_retrieval(&self) -> bool {
        self.row.shape == Shape::Retrieve
    }

    pub fn has_body(&self) -> bool {
        matches!(self.row.shape, Shape::Create | Shape::Modify) || self.method == "POST"
    }

    /// Whether something that it is called on can be missing.
    pub fn can_miss(&self) -> bool {
        self.row.can_miss()
    }

    pub fn url(&self, target: &Target) -> String {
        self.path
            .replace("{account_id}", &target.account)
            .replace("{user_id}", &target.user)
            .replace("{token_id}", &target.token)
            .replace("{roleBinding_id}", &target.binding)
            .replace("{event_id}", &target.event)
    }

    /// A body that the operation takes.
    pub fn body(&self, target: &Target) -> Value {
        let version = match self.row.noun {
            Noun::RoleBinding => ("roleBinding", "1.1"),
            Noun::Token => ("token", "1.0"),
            Noun::User => ("user", "1.2"),
            _ => ("account", "1.0"),
        };
        let mut body = json!({ "type": format!("application/astra-{}", version.0), "version": version.1 });
        let mut set = |name: &str, value: Value| body[name] = value;
        match self.id {
            "create_token" | "modify_token" | "create_account" | "modify_account" => set("name", json!("x")),
            "create_user" => set("email", json!(format!("new-{}@example.com", &target.token[..8]))),
            "modify_user" => set("lastName", json!("x")),
            "create_role_binding" | "create_user_role_binding" => {
                set("accountID", json!(target.account));
                set("userID", json!(target.user));
                set("role", json!("viewer"));
            }
            "modify_role_binding" | "modify_user_role_binding" => set("role", json!("viewer")),
            other => panic!("no body for {other}: say here what it takes"),
        }
        body
    }

    /// A request by the owner, with nothing wrong with it.
    pub fn call<'a>(&self, app: &'a App, target: &Target) -> Call<'a> {
        let call = app.call(&self.method, self.url(target));
        if self.path.starts_with("/oauth2") {
            call.form(&[("token", &target.secret)])
        } else if self.path == "/leaks" {
            call.json(&json!({ "secrets": [target.secret] }))
        } else if self.has_body() {
            call.json(&self.body(target))
        } else {
            call
        }
    }
}
