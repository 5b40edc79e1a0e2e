//! Nobody keeps the secret of a token that outranks them (spec/contract/CONTRACT.md §9): chains of tokens of any
//! length, while everybody rises and falls.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};
use serde_json::json;
use tokenward::domain::role::Role;

use crate::app::{App, on_every_database};

const PEOPLE: usize = 5;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// With one of the tokens that there are, a token for somebody.
    Make { with: usize, of: usize },
    /// A founder gives somebody another role, or its first one, in one of two accounts.
    Rank { who: usize, account: usize, role: Role, scoped: bool },
    /// A founder takes somebody's role in the second account.
    Expel { who: usize },
    /// A founder deletes somebody.
    Delete { who: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let role = || prop::sample::select(Role::ALL.to_vec());
    prop_oneof![
        8 => (any::<prop::sample::Index>(), 0..PEOPLE).prop_map(|(with, of)| Step::Make { with: with.index(1_000),
            of }),
        6 => (0..PEOPLE, role(), prop::bool::weighted(0.9)).prop_map(|(who, role, scoped)| Step::Rank { who,
            account: 0, role, scoped }),
        1 => (0..PEOPLE, role()).prop_map(|(who, role)| Step::Rank { who, account: 1, role, scoped: true }),
        1 => (0..PEOPLE).prop_map(|who| Step::Expel { who }),
        1 => (0..PEOPLE).prop_map(|who| Step::Delete { who }),
    ]
}

struct Token {
    secret: String,
    of: usize,
    /// The token that it was made with.
    parent: Option<usize>,
    good: bool,
}

struct Person {
    id: String,
    /// The binding and what it grants in each account.
    roles: [Option<(String, Role, bool)>; 2],
    exists: bool,
}

struct World {
    accounts: [String; 2],
    people: Vec<Person>,
    tokens: Vec<Token>,
}

impl World {
    fn granted(&self, who: usize, account: usize) -> Option<Role> {
        self.people[who].roles[account].as_ref().filter(|(_, _, scoped)| *scoped).map(|(_, role, _)| *role)
    }

    /// Everybody for whom a token along the chain was made: they hold one of its secrets, and could have made the next.
    fn knowers(&self, token: usize) -> BTreeSet<usize> {
        let mut knowers = BTreeSet::new();
        let mut next = Some(token);
        while let Some(index) = next {
            knowers.insert(self.tokens[index].of);
            next = self.tokens[index].parent;
        }
        knowers
    }

    fn risen(&mut self, who: usize, account: usize) {
        let role = self.granted(who, account);
        for index in 0..self.tokens.len() {
            let outranks = |knower: &usize| *knower != who && self.granted(*knower, account) < role;
            if self.tokens[index].of == who && self.knowers(index).iter().any(outranks) {
                self.tokens[index].good = false;
            }
        }
    }

    async fn rank(&mut self, app: &App, who: usize, account: usize, role: Role, scoped: bool) {
        let before = self.granted(who, account);
        let there = format!("/accounts/{}/core/v1/roleBindings", self.accounts[account]);
        let mut body = json!({ "type": "application/astra-roleBinding", "version": "1.1", "role": role.as_str() });
        body["roleConstraints"] = if scoped { json!(["*"]) } else { json!([]) };
        let binding = if let Some((binding, ..)) = &self.people[who].roles[account] {
            app.call("PUT", format!("{there}/{binding}")).json(&body).expect(204).await;
            binding.clone()
        } else {
            body["accountID"] = json!(self.accounts[account]);
            body["userID"] = json!(self.people[who].id);
            // At home in the first account, whoever isn't in the second can't be given a role there by way of the API.
            if account == 1 {
                app.bind_in(self.accounts[1].parse().unwrap(), self.people[who].id.parse().unwrap(), Role::Viewer)
                    .await;
                let page = app
                    .get(format!("{there}?filter=userID%20eq%20'{}'&include=id", self.people[who].id))
                    .expect(200)
                    .await
                    .json();
                let binding = page["items"][0][0].as_str().unwrap().to_owned();
                self.people[who].roles[1] = Some((binding.clone(), Role::Viewer, false));
                app.sabotage(&format!("UPDATE role_bindings SET role_constraints = '[]' WHERE id = '{binding}'")).await;
                app.call("PUT", format!("{there}/{binding}")).json(&body).expect(204).await;
                binding
            } else {
                app.call("POST", &there).json(&body).expect(201).await.json()["id"].as_str().unwrap().to_owned()
            }
        };
        self.people[who].roles[account] = Some((binding, role, scoped));
        if self.granted(who, account) > before {
            self.risen(who, account);
        }
    }

    async fn take(&mut self, app: &App, step: Step) {
        match step {
            Step::Make { with, of } => {
                let with = with % self.tokens.len();
                let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
                let made = app
                    .call("POST", app.tokens(&self.people[of].id))
                    .json(&body)
                    .secret(&self.tokens[with].secret)
                    .send()
                    .await;
                if made.status == 201 {
                    let secret = made.json()["token"].as_str().unwrap().to_owned();
                    self.tokens.push(Token { secret, of, parent: Some(with), good: true });
                }
            }
            Step::Rank { who, account, role, scoped } if self.people[who].exists => {
                self.rank(app, who, account, role, scoped).await;
            }
            Step::Expel { who } if self.people[who].exists => {
                if let Some((binding, ..)) = self.people[who].roles[1].take() {
                    app.call("DELETE", format!("/accounts/{}/core/v1/roleBindings/{binding}", self.accounts[1]))
                        .expect(204)
                        .await;
                }
            }
            Step::Delete { who } if self.people[who].exists => {
                app.call("DELETE", format!("/accounts/{}/core/v1/users/{}", self.accounts[0], self.people[who].id))
                    .expect(204)
                    .await;
                self.people[who].exists = false;
                self.people[who].roles = [None, None];
                self.tokens.iter_mut().filter(|token| token.of == who).for_each(|token| token.good = false);
            }
            Step::Rank { .. } | Step::Expel { .. } | Step::Delete { .. } => {}
        }
        for (index, token) in self.tokens.iter().enumerate() {
            let status = app.get("/whoami").secret(&token.secret).send().await.status;
            assert_eq!(status == 200, token.good, "token {index} of {} after {step:?}: {status}", token.of);
        }
    }
}

/// Five people, an owner, an admin and so on, each with a token that nobody else knows; a founder who owns both
/// accounts.
async fn world(app: &App) -> World {
    let made = app
        .call("POST", "/accounts")
        .json(&json!({ "type": "application/astra-account", "version": "1.0", "name": "two" }));
    let second = made.expect(201).await.json()["id"].as_str().unwrap().to_owned();
    let mut world = World { accounts: [app.account.to_string(), second], people: vec![], tokens: vec![] };
    let roles = Role::ALL.iter().rev().copied().chain([Role::Viewer]);
    for (who, role) in roles.enumerate().take(PEOPLE) {
        let id = app.user(&format!("{who}@example.com"), None).await;
        world.people.push(Person { id: id.to_string(), roles: [None, None], exists: true });
        world.rank(app, who, 0, role, true).await;
        world.tokens.push(Token { secret: app.token_of(id, "own").await.1, of: who, parent: None, good: true });
    }
    world
}

async fn story(app: &App, steps: &[Step]) {
    let mut world = world(app).await;
    for step in steps {
        world.take(app, *step).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        max_shrink_iters: 100,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn nobody_keeps_the_secret_of_a_token_that_outranks_them(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_every_database(async |app| story(app, &steps).await));
    }
}

/// An owner's token for an admin, with it one for a viewer; the owner falls, the others rise.
#[tokio::test]
async fn privilege_is_not_laundered_through_a_second_token() {
    let rank = |who, role| Step::Rank { who, account: 0, role, scoped: true };
    let steps = [
        Step::Make { with: 0, of: 1 },
        Step::Make { with: PEOPLE, of: 3 },
        Step::Make { with: PEOPLE + 1, of: 3 },
        rank(0, Role::Viewer),
        rank(1, Role::Owner),
        rank(3, Role::Member),
    ];
    on_every_database(async |app| story(app, &steps).await).await;
}

/// Somebody without a scope has no role; to be given one is a rise.
#[tokio::test]
async fn a_role_without_scope_is_no_rank() {
    let steps = [
        Step::Make { with: 1, of: 2 },
        Step::Rank { who: 2, account: 0, role: Role::Owner, scoped: false },
        Step::Rank { who: 2, account: 0, role: Role::Owner, scoped: true },
    ];
    on_every_database(async |app| story(app, &steps).await).await;
}

/// Whoever has made a token for somebody has no role in the account that this one creates with it: there it would speak
/// as an owner.
#[tokio::test]
async fn a_further_account_is_not_shared_with_whoever_knows_a_token() {
    on_every_database(async |app| {
        let grace = app.user("grace@example.com", Some(Role::Admin)).await;
        let (own_id, own) = app.token_of(grace, "own").await;
        let made = app.issue(grace, "made by Ada").await;
        let known = made["token"].as_str().unwrap();
        app.sabotage(&format!("UPDATE role_bindings SET role = 'owner' WHERE user_id = '{grace}'")).await;
        let body = json!({ "type": "application/astra-account", "version": "1.0", "name": "second" });
        let second = app.call("POST", "/accounts").secret(known).json(&body).expect(201).await.json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        app.get(format!("/accounts/{second}")).secret(known).problem(4).await;
        app.get(format!("/accounts/{second}")).secret(&own).expect(200).await;
        app.get(app.item(grace, &own_id)).secret(&own).expect(200).await;
    })
    .await;
}
