//! Who may do what: every operation of the document, called by everyone, on what belongs to everyone.

use std::{collections::HashMap, fmt::Write as _};

use serde_json::json;
use tokenward::{
    api::operations::{Noun, Shape},
    domain::{id::UserId, role::Role},
};

use crate::{
    app::{App, DOCUMENT, on_every_database},
    operation::{self, Operation},
};

/// In the order of what they may do.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Anonymous,
    /// An owner of another account.
    Stranger,
    /// A user of the account.
    User(Option<Role>),
}

const CALLERS: [(&str, Who); 7] = [
    ("anonymous", Who::Anonymous),
    ("stranger", Who::Stranger),
    ("no role", Who::User(None)),
    ("viewer", Who::User(Some(Role::Viewer))),
    ("member", Who::User(Some(Role::Member))),
    ("admin", Who::User(Some(Role::Admin))),
    ("owner", Who::User(Some(Role::Owner))),
];

/// Whose things an operation is called on; for grants, which role is granted.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Own,
    Of(Option<Role>),
}

const ROLES: [(&str, Option<Role>); 5] = [
    ("no role", None),
    ("viewer", Some(Role::Viewer)),
    ("member", Some(Role::Member)),
    ("admin", Some(Role::Admin)),
    ("owner", Some(Role::Owner)),
];

fn targets(operation: &Operation) -> Vec<(&'static str, Whose)> {
    let others = ROLES.iter().map(|(name, role)| (*name, Whose::Of(*role)));
    let own = std::iter::once(("own", Whose::Own));
    let row = operation.row;
    match row.noun {
        Noun::RoleBinding if row.shape == Shape::Create => others.skip(1).collect(),
        Noun::RoleBinding if row.is_on_one() => own.chain(others.skip(1)).collect(),
        // What takes a secret in its body is on whichever token that is.
        _ if operation.path.contains("{user_id}") || (row.noun == Noun::Token && operation.method == "POST") => {
            own.chain(others).collect()
        }
        _ => vec![("", Whose::Of(Some(Role::Viewer)))],
    }
}

/// The status of the answer. Caller and target are new each time, for many an operation can be done once.
async fn status(
    app: &App,
    operation: &Operation,
    who: Who,
    whose: Whose,
    stranger: UserId,
    change: Option<&str>,
    number: &mut u32,
) -> u16 {
    *number += 1;
    let caller = match who {
        Who::User(role) => Some(app.user(&format!("caller{number}@example.com"), role).await),
        _ => None,
    };
    let grants = operation.row.shape == Shape::Create && operation.row.noun == Noun::RoleBinding;
    let target = match whose {
        Whose::Own if caller.is_some() => app.target_of(caller.unwrap()).await,
        Whose::Own => app.target_of(app.owner).await,
        Whose::Of(_) if grants => app.target(&format!("target{number}@example.com"), None).await,
        Whose::Of(role) => app.target(&format!("target{number}@example.com"), role).await,
    };
    let mut call = operation.call(app, &target);
    if operation.has_body() && operation.path.starts_with("/accounts") {
        call = app.call(&operation.method, operation.url(&target));
        let mut body = operation.body(&target);
        if let (true, Whose::Of(Some(role))) = (grants, whose) {
            body["role"] = json!(role.as_str());
        }
        if change.is_some() {
            body = json!({ "type": body["type"], "version": body["version"], "state": "suspended" });
        }
        call = call.json(&body);
    }
    let call = match (who, caller) {
        (Who::Anonymous, _) => call.anonymous(),
        (Who::Stranger, _) => call.secret(&app.token_of(stranger, "speaks").await.1),
        (_, Some(caller)) => call.secret(&app.token_of(caller, "speaks").await.1),
        (Who::User(_), None) => unreachable!(),
    };
    call.send().await.status.as_u16()
}

/// What changes nothing from one line to the next is one line.
fn table(rows: &[(String, Vec<u16>)], operation: &str) -> String {
    let mut merged: Vec<(String, &Vec<u16>)> = vec![];
    for (whose, row) in rows {
        match merged.last_mut() {
            Some((names, last)) if *last == row => *names = format!("{names}, {whose}"),
            _ => merged.push((whose.clone(), row)),
        }
    }
    if let [(names, _)] = merged.as_mut_slice()
        && names.contains(',')
    {
        names.replace_range(.., "anyone's");
    }
    let mut table = String::new();
    for (index, (whose, row)) in merged.iter().enumerate() {
        write!(table, "{:<34}{whose:<32}", if index == 0 { operation } else { "" }).unwrap();
        for status in *row {
            write!(table, "{status:<11}").unwrap();
        }
        table = table.trim_end().to_owned() + "\n";
    }
    table
}

/// Whom each operation lets pass is whom the policy lets pass for the action that the table of operations names. (Two
/// actions that reach alike can't be told apart so.)
fn check_against_policy(operation: &Operation, rows: &[(String, Vec<u16>)]) {
    let Some(action) = operation.row.action else { return };
    // These are checked by rules of their own beside the action: what belongs to the account as a whole, and whose
    // binding is granted.
    let (noun, shape) = (operation.row.noun, operation.row.shape);
    for (whose, row) in rows {
        let role = ROLES.iter().find(|(name, _)| name == whose).map(|(_, role)| *role);
        for ((caller, who), status) in CALLERS.iter().zip(row) {
            let Who::User(Some(caller_role)) = *who else { continue };
            let reach = action.reach(caller_role);
            let may = match (whose.as_str(), role) {
                // Anybody's or nobody's.
                _ if shape == Shape::Ask => reach.is_everything(),
                ("own", _) => reach.own(),
                ("", _) if matches!(shape, Shape::List | Shape::Retrieve) => {
                    !(reach.is_confined() && shape == Shape::Retrieve)
                }
                ("", _) if shape == Shape::Create => reach.covers(caller_role, None),
                ("", _) => reach.is_everything(),
                (_, Some(role)) => reach.covers(caller_role, role),
                (_, None) => continue,
            };
            let own_binding = noun == Noun::RoleBinding && whose == "own";
            let may = if own_binding && shape != Shape::Retrieve {
                reach.covers(caller_role, Some(caller_role))
            } else {
                may
            };
            assert_eq!(*status < 300, may, "{} on what is of {whose:?} by {caller}: {status}", operation.id);
        }
    }
}

/// From which role on callers reach what: `viewer: own; admin: no role, viewer, member; owner: admin, owner`.
fn who_may(rows: &[(String, Vec<u16>)]) -> String {
    let mut reached = vec![];
    let mut told = vec![];
    for (index, (caller, who)) in CALLERS.iter().enumerate().filter(|(_, (_, who))| *who != Who::Stranger) {
        let new = |(whose, row): &&(String, Vec<u16>)| row[index] < 300 && !reached.contains(whose);
        let new: Vec<String> = rows.iter().filter(new).map(|(whose, _)| whose.clone()).collect();
        if new.is_empty() {
            continue;
        }
        let caller = match who {
            Who::Anonymous => "anyone",
            Who::User(None) => "any token",
            _ => caller,
        };
        told.push(if new.len() == rows.len() { caller.to_owned() } else { format!("{caller}: {}", new.join(", ")) });
        reached.extend(new);
    }
    told.join("; ")
}

/// `spec/operations.txt`: a line for each operation, to be read and searched.
fn operations(who: &HashMap<String, String>) -> String {
    let mut lines = vec![["operation", "method", "path", "answers", "who may"].map(str::to_owned)];
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let answers: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            let who = if operation["security"] == json!([]) { "anyone".to_owned() } else { who[id].clone() };
            lines.push([id.to_owned(), method.to_uppercase(), path.clone(), answers.join(" "), who]);
        }
    }
    let widths = [0, 1, 2, 3].map(|column| lines.iter().map(|line| line[column].len()).max().unwrap() + 2);
    let line = |cells: &[String; 5]| {
        let columns = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        columns.collect::<String>() + &cells[4] + "\n"
    };
    lines.iter().map(line).collect()
}

#[tokio::test]
async fn the_matrix_of_roles() {
    on_every_database(async |app| {
        let (_, stranger, _) = app.another_account().await;
        let mut number = 0;
        let mut who = HashMap::new();
        let mut shown = format!("{:<34}{:<32}", "operation", "on what is of / granting");
        for (name, _) in &CALLERS {
            write!(shown, "{name:<11}").unwrap();
        }
        shown = shown.trim_end().to_owned() + "\n";
        for operation in operation::with_verification() {
            if operation.id == "delete_account" {
                // Else the accounts that were created here would be left without their owners.
                app.sabotage(&format!("DELETE FROM accounts WHERE name = 'x' AND id <> '{}'", app.account)).await;
            }
            let variants: &[Option<&str>] =
                if operation.id == "modify_user" { &[None, Some("state")] } else { &[None] };
            for change in variants {
                let mut rows = vec![];
                for (name, whose) in targets(&operation) {
                    let mut row = vec![];
                    for (_, who) in CALLERS {
                        row.push(status(app, &operation, who, whose, stranger, *change, &mut number).await);
                    }
                    rows.push((name.to_owned(), row));
                }
                if change.is_none() {
                    check_against_policy(&operation, &rows);
                }
                let label =
                    change.map_or_else(|| operation.id.to_owned(), |change| format!("{} ({change})", operation.id));
                shown += &table(&rows, &label);
                let told: &mut String = who.entry(operation.id.to_owned()).or_default();
                *told += &change.map_or_else(String::new, |change| format!("; its {change}: "));
                *told += &who_may(&rows);
            }
        }
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!("roles", shown) });
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/operations.txt");
        let made = operations(&who);
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| ["always", "force"].contains(&update.as_str())) {
            std::fs::write(file, &made).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            committed == made,
            "spec/operations.txt differs from what the server does; if that is meant: INSTA_UPDATE=always cargo test"
        );
    })
    .await;
}
