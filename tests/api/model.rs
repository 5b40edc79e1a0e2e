//! Random operations by random callers in two accounts, held against a model of the contract's rules
//! (spec/contract/CONTRACT.md §9): any disagreement fails, and shrinks to the shortest story that shows it.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};
use serde_json::{Value, json};
use tokenward::domain::role::Role;

use crate::{
    app::{App, Call, on_every_database},
    operation::NOBODY,
};

#[derive(Debug, Clone, Copy)]
enum EventKind {
    ListTokens,
    CreateToken,
    /// Revokes the newest token of a user, perhaps under another user's path.
    DeleteToken(usize),
    CreateUser,
    Rename,
    Suspend,
    Activate,
    DeleteUser,
    Grant(Role),
    Rebind(Role),
    Unbind,
    ListUsers,
    ListAccounts,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    caller: usize,
    account: usize,
    target: usize,
    kind: EventKind,
}

fn step() -> impl Strategy<Value = Step> {
    let role = || prop::sample::select(Role::ALL.to_vec());
    let kind = prop_oneof![
        2 => Just(EventKind::ListTokens),
        2 => Just(EventKind::CreateToken),
        2 => (0..8usize).prop_map(EventKind::DeleteToken),
        2 => Just(EventKind::CreateUser),
        2 => Just(EventKind::Rename),
        1 => Just(EventKind::Suspend),
        1 => Just(EventKind::Activate),
        1 => Just(EventKind::DeleteUser),
        4 => role().prop_map(EventKind::Grant),
        3 => role().prop_map(EventKind::Rebind),
        1 => Just(EventKind::Unbind),
        1 => Just(EventKind::ListUsers),
        1 => Just(EventKind::ListAccounts),
    ];
    // Callers are drawn from the first few, so that they come to power.
    (prop_oneof![3 => 0..3usize, 1 => 0..8usize], 0..2usize, 0..8usize, kind)
        .prop_map(|(caller, account, target, kind)| Step { caller, account, target, kind })
}

struct User {
    id: String,
    secret: String,
    home: usize,
    /// The role and the binding's id in each account.
    roles: [Option<(Role, String)>; 2],
    active: bool,
    exists: bool,
    /// Each with who made it.
    tokens: Vec<(String, usize)>,
}

struct World {
    accounts: [String; 2],
    users: Vec<User>,
    made: usize,
}

impl World {
    fn role(&self, user: usize, account: usize) -> Option<Role> {
        self.users[user].roles[account].as_ref().map(|(role, _)| *role)
    }

    fn is_in(&self, user: usize, account: usize) -> bool {
        self.users[user].exists && (self.users[user].home == account || self.role(user, account).is_some())
    }

    fn owns(&self, user: usize, account: usize) -> bool {
        self.users[user].exists && self.users[user].active && self.role(user, account) == Some(Role::Owner)
    }

    fn is_last_owner(&self, user: usize, account: usize) -> bool {
        self.owns(user, account) && !(0..self.users.len()).any(|other| other != user && self.owns(other, account))
    }

    fn is_last_owner_anywhere(&self, user: usize) -> bool {
        (0..2).any(|account| self.is_last_owner(user, account))
    }

    /// Whether the caller rules over another's things: an owner over everyone's, an admin over those of lower roles; of
    /// guests nobody.
    fn rules(&self, caller: usize, target: usize, account: usize) -> bool {
        let at_home = self.users[target].home == account;
        at_home
            && match self.role(caller, account) {
                Some(Role::Owner) => true,
                Some(Role::Admin) => self.role(target, account) < Some(Role::Admin),
                _ => false,
            }
    }

    /// The status that the rules ask for.
    #[expect(clippy::match_same_arms, reason = "in the order in which the rules are asked")]
    fn expected(&self, step: Step) -> u16 {
        let Step { caller, account, target, kind } = step;
        if !self.users[caller].exists || !self.users[caller].active {
            return 401;
        }
        if matches!(kind, EventKind::ListAccounts) {
            return 200;
        }
        let Some(role) = self.role(caller, account) else { return 403 };
        let (own, is_in) = (caller == target, self.is_in(target, account));
        let powerful = role >= Role::Admin;
        let administer = |changes: bool| {
            let may =
                if changes { self.rules(caller, target, account) } else { own || self.rules(caller, target, account) };
            if is_in { if may { 204 } else { 403 } } else { 404 }
        };
        match kind {
            EventKind::ListTokens | EventKind::CreateToken | EventKind::DeleteToken(_) if !own && !powerful => 403,
            EventKind::ListTokens | EventKind::CreateToken | EventKind::DeleteToken(_) if !is_in => 404,
            EventKind::DeleteToken(of) if of % self.users.len() != target || self.users[target].tokens.is_empty() => {
                404
            }
            EventKind::ListTokens if own || self.rules(caller, target, account) => 200,
            EventKind::DeleteToken(_) if own || self.rules(caller, target, account) => 204,
            EventKind::CreateToken if own => 201,
            EventKind::CreateToken if self.rules(caller, target, account) => {
                let elsewhere = self.role(target, 1 - account).is_some();
                if elsewhere || self.role(target, account) == Some(Role::Owner) { 403 } else { 201 }
            }
            EventKind::ListTokens | EventKind::CreateToken | EventKind::DeleteToken(_) => 403,
            EventKind::CreateUser => {
                if powerful {
                    201
                } else {
                    403
                }
            }
            EventKind::Rename => administer(false),
            EventKind::Suspend => match administer(self.users[target].active) {
                204 if self.is_last_owner_anywhere(target) => 409,
                status => status,
            },
            EventKind::Activate => administer(!self.users[target].active),
            EventKind::DeleteUser => match administer(true) {
                204 if self.is_last_owner_anywhere(target) => 403,
                status => status,
            },
            EventKind::Grant(_) if !powerful => 403,
            EventKind::Grant(_) if !is_in => 400,
            EventKind::Grant(new) if role == Role::Admin && new >= Role::Admin => 403,
            EventKind::Grant(_) => {
                if self.role(target, account).is_some() {
                    409
                } else {
                    201
                }
            }
            EventKind::Rebind(_) | EventKind::Unbind if !is_in => 404,
            EventKind::Rebind(new) => match self.role(target, account) {
                None => 404,
                Some(old) if role != Role::Owner && (!powerful || old.max(new) >= Role::Admin) => 403,
                Some(_) if new != Role::Owner && self.is_last_owner(target, account) => 409,
                Some(_) => 204,
            },
            EventKind::Unbind => match self.role(target, account) {
                None => 404,
                Some(old) if role != Role::Owner && (!powerful || old >= Role::Admin) => 403,
                Some(_) if self.is_last_owner(target, account) => 403,
                Some(_) => 204,
            },
            EventKind::ListUsers | EventKind::ListAccounts => 200,
        }
    }

    fn call<'a>(&self, app: &'a App, step: Step) -> Call<'a> {
        let Step { caller, account, target, kind } = step;
        let there = |path: String| format!("/accounts/{}/core/v1/{path}", self.accounts[account]);
        let id = &self.users[target].id;
        let binding = self.users[target].roles[account].as_ref().map_or(NOBODY, |(_, binding)| binding);
        let body = |kind: &str, version: &str, fields: Value| {
            let mut body = json!({ "type": format!("application/astra-{kind}"), "version": version });
            fields.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
            body
        };
        let user = |fields: Value| body("user", "1.2", fields);
        let call = match kind {
            EventKind::ListTokens => app.get(there(format!("users/{id}/tokens"))),
            EventKind::CreateToken => app.call("POST", there(format!("users/{id}/tokens"))).json(&body(
                "token",
                "1.0",
                json!({ "name": "x" }),
            )),
            EventKind::DeleteToken(of) => {
                let token = self.users[of % self.users.len()].tokens.last().map_or(NOBODY, |(token, _)| token);
                app.call("DELETE", there(format!("users/{id}/tokens/{token}")))
            }
            EventKind::CreateUser => app
                .call("POST", there("users".to_owned()))
                .json(&user(json!({ "email": format!("made{}@example.com", self.made) }))),
            EventKind::Rename => app.call("PUT", there(format!("users/{id}"))).json(&user(json!({ "lastName": "x" }))),
            EventKind::Suspend => {
                app.call("PUT", there(format!("users/{id}"))).json(&user(json!({ "state": "suspended" })))
            }
            EventKind::Activate => {
                app.call("PUT", there(format!("users/{id}"))).json(&user(json!({ "state": "active" })))
            }
            EventKind::DeleteUser => app.call("DELETE", there(format!("users/{id}"))),
            EventKind::Grant(role) => {
                let fields = json!({ "accountID": self.accounts[account], "userID": id, "role": role.as_str() });
                app.call("POST", there("roleBindings".to_owned())).json(&body("roleBinding", "1.1", fields))
            }
            EventKind::Rebind(role) => app.call("PUT", there(format!("roleBindings/{binding}"))).json(&body(
                "roleBinding",
                "1.1",
                json!({ "role": role.as_str() }),
            )),
            EventKind::Unbind => app.call("DELETE", there(format!("roleBindings/{binding}"))),
            EventKind::ListUsers => app.get(there("users?include=id".to_owned())),
            EventKind::ListAccounts => app.get("/accounts?include=id"),
        };
        call.secret(&self.users[caller].secret)
    }

    /// What a success changes, and what it has to show.
    async fn apply(&mut self, app: &App, step: Step, answer: &Value) {
        let Step { caller, account, target, kind } = step;
        match kind {
            EventKind::CreateToken => {
                self.users[target].tokens.push((answer["id"].as_str().unwrap().to_owned(), caller));
            }
            EventKind::DeleteToken(_) => drop(self.users[target].tokens.pop()),
            EventKind::CreateUser => {
                self.made += 1;
                let id = answer["id"].as_str().unwrap().to_owned();
                let (_, secret) = app.token_of(id.parse().unwrap(), "speaks").await;
                self.users.push(User {
                    id,
                    secret,
                    home: account,
                    roles: [None, None],
                    active: true,
                    exists: true,
                    tokens: vec![],
                });
            }
            EventKind::Suspend => self.users[target].active = false,
            EventKind::Activate => self.users[target].active = true,
            EventKind::DeleteUser => self.delete(target),
            EventKind::Grant(role) => {
                self.users[target].roles[account] = Some((role, answer["id"].as_str().unwrap().to_owned()));
                self.outgrow(target, account);
            }
            EventKind::Rebind(role) => {
                let before = std::mem::replace(&mut self.users[target].roles[account].as_mut().unwrap().0, role);
                if role > before {
                    self.outgrow(target, account);
                }
            }
            EventKind::Unbind => {
                self.users[target].roles[account] = None;
                if self.users[target].roles.iter().all(Option::is_none) && self.users[target].home == account {
                    self.delete(target);
                }
            }
            EventKind::ListUsers => {
                let wanted = (0..self.users.len())
                    .filter(|user| self.is_in(*user, account))
                    .map(|user| self.users[user].id.clone());
                assert_eq!(ids(answer), wanted.collect::<BTreeSet<_>>(), "the users of account {account}");
            }
            EventKind::ListAccounts => {
                let wanted = (0..2)
                    .filter(|account| self.role(caller, *account).is_some())
                    .map(|account| self.accounts[account].clone());
                assert_eq!(ids(answer), wanted.collect::<BTreeSet<_>>(), "the accounts of {caller}");
            }
            EventKind::ListTokens | EventKind::Rename => {}
        }
    }

    /// Who rises loses the tokens that others have made for it who are below it now.
    fn outgrow(&mut self, target: usize, account: usize) {
        let role = self.role(target, account);
        let mut tokens = std::mem::take(&mut self.users[target].tokens);
        tokens.retain(|(_, maker)| *maker == target || self.role(*maker, account) >= role);
        self.users[target].tokens = tokens;
    }

    fn delete(&mut self, user: usize) {
        self.users[user].exists = false;
        self.users[user].roles = [None, None];
        self.users[user].tokens.clear();
    }
}

fn ids(answer: &Value) -> BTreeSet<String> {
    answer["items"].as_array().unwrap().iter().map(|item| item[0].as_str().unwrap().to_owned()).collect()
}

/// Two accounts: an owner of the first has made the second, and owns it as a guest beside one who is at home there.
async fn world(app: &App) -> World {
    let made = app
        .call("POST", "/accounts")
        .json(&json!({ "type": "application/astra-account", "version": "1.0", "name": "two" }));
    let second = made.expect(201).await.json()["id"].as_str().unwrap().to_owned();
    let accounts = [app.account.to_string(), second];
    let mut world = World { accounts, users: vec![], made: 0 };
    let mut guest = [None, None];
    for (account, guest) in guest.iter_mut().enumerate() {
        let url = format!("/accounts/{}/core/v1/roleBindings?include=id", world.accounts[account]);
        let found = app.get(url).expect(200).await.json();
        *guest = Some((Role::Owner, found["items"][0][0].as_str().unwrap().to_owned()));
    }
    let (id, secret) = (app.owner.to_string(), app.token_of(app.owner, "speaks").await.1);
    world.users.push(User { id, secret, home: 0, roles: guest, active: true, exists: true, tokens: vec![] });
    for (home, role) in [(1, Role::Owner), (0, Role::Owner), (0, Role::Admin)] {
        let create = Step { caller: 0, account: home, target: 0, kind: EventKind::CreateUser };
        let answer = world.call(app, create).expect(201).await.json();
        world.apply(app, create, &answer).await;
        let grant = Step { caller: 0, account: home, target: world.users.len() - 1, kind: EventKind::Grant(role) };
        let answer = world.call(app, grant).expect(201).await.json();
        world.apply(app, grant, &answer).await;
    }
    // At home the guest ranks low, abroad it owns: what somebody at home may do to it must not open the other account.
    let demote = Step { caller: 2, account: 0, target: 0, kind: EventKind::Rebind(Role::Member) };
    world.call(app, demote).expect(204).await;
    world.apply(app, demote, &Value::Null).await;
    world
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_rules_hold_whatever_happens(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_every_database(async |app| {
            let mut world = world(app).await;
            for (index, step) in steps.iter().enumerate() {
                let mut step = *step;
                step.caller %= world.users.len();
                step.target %= world.users.len();
                let expected = world.expected(step);
                let reply = world.call(app, step).send().await;
                assert_eq!(reply.status.as_u16(), expected, "step {index}, {step:?}: {}", reply.text());
                if reply.status.is_success() {
                    let answer = if reply.body.is_empty() { Value::Null } else { reply.json() };
                    world.apply(app, step, &answer).await;
                }
            }
        }));
    }
}
