//! The table of operations: what each of them is, in a row. The document, the gate, links, examples and the tests read it, and
//! nothing else says what kind of operation one is.

use super::wire::catalogue::Kind as Problem;
use crate::service::policy::Action;

/// Where proxies ask, in whichever way.
pub const VERIFY: &str = "/verify";

/// What an operation does to its noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Returns one.
    Retrieve,
    /// Returns a page of a collection.
    List,
    /// Makes one.
    Create,
    /// Changes one.
    Modify,
    /// Takes one away.
    Delete,
    /// Does something else to one.
    Act,
    /// Answers a question about a secret.
    Ask,
    /// Looks up what this server says.
    Explain,
    /// Answers whether the process is well.
    Check,
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An account.
    Account,
    /// A user.
    User,
    /// A token, or its secret.
    Token,
    /// A role binding.
    RoleBinding,
    /// An entry of the audit log.
    Event,
    /// The explanation of a problem.
    Explanation,
    /// This process.
    Process,
}

/// What contains the noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Nothing.
    Nothing,
    /// An account.
    Account,
    /// A user of an account.
    User,
}

/// How an operation says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// As a problem (RFC 9457).
    Problem,
    /// As OAuth 2.0 clients expect it (RFC 6749 §5.2).
    OAuth,
    /// By status and headers alone.
    Bare,
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its id in the document.
    pub id: &'static str,
    /// What it does to its noun.
    pub shape: Shape,
    /// What it is about.
    pub noun: Noun,
    /// What contains that.
    pub within: Within,
    /// What the policy is asked, if anything is.
    pub action: Option<Action>,
    /// How it says what is wrong.
    pub errors: Errors,
    /// What can go wrong, for operations outside the contract's resources; of those the shape says it.
    own_problems: &'static [Problem],
}

/// All operations.
#[rustfmt::skip]
pub const TABLE: &[Operation] = {
    use {Noun::*, Shape::*, Within as In};
    use Action::*;
    use Problem::*;
    &[
        resource("retrieve_token",             Retrieve, Token,       In::User,    Some(ReadTokens)),
        resource("modify_token",               Modify,   Token,       In::User,    Some(ChangeTokens)),
        resource("delete_token",               Delete,   Token,       In::User,    Some(ChangeTokens)),
        resource("list_tokens",                List,     Token,       In::User,    Some(ReadTokens)),
        resource("create_token",               Create,   Token,       In::User,    Some(CreateTokens)),
        resource("retrieve_user",              Retrieve, User,        In::Account, Some(ReadPeople)),
        resource("modify_user",                Modify,   User,        In::Account, Some(ModifyProfile)),
        resource("delete_user",                Delete,   User,        In::Account, Some(AdministerUsers)),
        resource("list_users",                 List,     User,        In::Account, Some(ReadPeople)),
        resource("create_user",                Create,   User,        In::Account, Some(AdministerUsers)),
        resource("retrieve_role_binding",      Retrieve, RoleBinding, In::Account, Some(ReadPeople)),
        resource("modify_role_binding",        Modify,   RoleBinding, In::Account, Some(ChangeRoleBindings)),
        resource("delete_role_binding",        Delete,   RoleBinding, In::Account, Some(ChangeRoleBindings)),
        resource("list_role_bindings",         List,     RoleBinding, In::Account, Some(ReadPeople)),
        resource("create_role_binding",        Create,   RoleBinding, In::Account, Some(ChangeRoleBindings)),
        resource("retrieve_user_role_binding", Retrieve, RoleBinding, In::User,    Some(ReadPeople)),
        resource("modify_user_role_binding",   Modify,   RoleBinding, In::User,    Some(ChangeRoleBindings)),
        resource("delete_user_role_binding",   Delete,   RoleBinding, In::User,    Some(ChangeRoleBindings)),
        resource("list_user_role_bindings",    List,     RoleBinding, In::User,    Some(ReadPeople)),
        resource("create_user_role_binding",   Create,   RoleBinding, In::User,    Some(ChangeRoleBindings)),
        resource("retrieve_account",           Retrieve, Account,     In::Nothing, Some(ReadAccount)),
        resource("modify_account",             Modify,   Account,     In::Nothing, Some(ChangeAccount)),
        resource("delete_account",             Delete,   Account,     In::Nothing, Some(ChangeAccount)),
        resource("list_accounts",              List,     Account,     In::Nothing, None),
        resource("create_account",             Create,   Account,     In::Nothing, Some(ChangeAccount)),
        resource("retrieve_event",             Retrieve, Event,       In::Account, Some(ReadEvents)),
        resource("list_events",                List,     Event,       In::Account, Some(ReadEvents)),
        secret("verify_token",           Ask, None,                   Errors::Bare,    &[MissingToken, Forbidden, Internal, Unavailable]),
        secret("who_am_i",               Ask, None,                   Errors::Problem, &[UnsupportedQuery, MissingToken, InvalidToken, TooManyFailures, Internal, Unavailable]),
        secret("revoke_presented_token", Act, None,                   Errors::Problem, &[UnsupportedQuery, MissingToken, InvalidToken, TooManyFailures, Internal, Unavailable]),
        secret("introspect_token",       Ask, Some(IntrospectTokens), Errors::OAuth,   &[NotTheSchema, MissingToken, InvalidToken, Forbidden, TooLarge, TooManyFailures, Internal, Unavailable]),
        secret("revoke_token",           Act, None,                   Errors::OAuth,   &[NotTheSchema, TooLarge, Internal, Unavailable]),
        secret("report_leaks",           Act, None,                   Errors::Problem, &[UnsupportedQuery, NotJson, NotTheSchema, InvalidHeaders, TooLarge, Internal, Unavailable, TooManyFailures]),
        server("explain_problem", Explain, Noun::Explanation, &[UnsupportedQuery, NotFound]),
        server("check_health",    Check,   Process,       &[]),
        server("check_readiness", Check,   Process,       &[]),
    ]
};

/// An operation on the contract's resources.
const fn resource(id: &'static str, shape: Shape, noun: Noun, within: Within, action: Option<Action>) -> Operation {
    Operation { id, shape, noun, within, action, errors: Errors::Problem, own_problems: &[] }
}

/// An operation on the secret that somebody presents or sends.
const fn secret(id: &'static str, shape: Shape, action: Option<Action>, errors: Errors, own_problems: &'static [Problem]) -> Operation {
    Operation { id, shape, noun: Noun::Token, within: Within::Nothing, action, errors, own_problems }
}

/// An operation on the server itself, open to everyone.
const fn server(id: &'static str, shape: Shape, noun: Noun, own_problems: &'static [Problem]) -> Operation {
    Operation { id, shape, noun, within: Within::Nothing, action: None, errors: Errors::Problem, own_problems }
}

impl Operation {
    /// The operation with that id.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        TABLE.iter().find(|operation| operation.id == id)
    }

    /// Whether it is on one thing, which it names.
    #[must_use]
    pub const fn is_on_one(&self) -> bool {
        matches!(self.shape, Shape::Retrieve | Shape::Modify | Shape::Delete | Shape::Act)
    }

    /// Whether something that it names can be missing. An account that isn't there is forbidden; only what lies in one is missing.
    #[must_use]
    pub const fn can_miss(&self) -> bool {
        match self.within {
            Within::Nothing => false,
            Within::Account => self.is_on_one(),
            Within::User => true,
        }
    }

    /// The conditional headers that it heeds (spec/contract/CONTRACT.md §4).
    #[must_use]
    pub const fn conditions(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::Retrieve => &["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"],
            Shape::Modify => &["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since"],
            Shape::Delete => &["If-Match", "If-None-Match", "If-Unmodified-Since"],
            _ => &[],
        }
    }

    /// What can go wrong with it, as the document tells it.
    pub(in crate::api) fn problems(&self) -> Vec<Problem> {
        let of_shape = match self.shape {
            Shape::List => LIST_PROBLEMS,
            Shape::Retrieve => RETRIEVE_PROBLEMS,
            Shape::Create => CREATE_PROBLEMS,
            Shape::Modify => MODIFY_PROBLEMS,
            Shape::Delete => DELETE_PROBLEMS,
            Shape::Act | Shape::Ask | Shape::Explain | Shape::Check => &[],
        };
        let can_happen = |problem: &&Problem| match problem {
            Problem::NotFound | Problem::NotFoundToChange => self.can_miss(),
            Problem::Forbidden => self.action.is_some(),
            // New tokens and accounts are never like others.
            Problem::Conflict => self.shape != Shape::Create || matches!(self.noun, Noun::User | Noun::RoleBinding),
            _ => true,
        };
        of_shape.iter().filter(can_happen).chain(self.own_problems).copied().collect()
    }
}

const LIST_PROBLEMS: &[Problem] = {
    use Problem::*;
    &[InvalidQuery, UnsupportedQuery, MissingToken, InvalidToken, Forbidden, NotFound, NotAcceptable, Internal, Unavailable]
};
const RETRIEVE_PROBLEMS: &[Problem] = {
    use Problem::*;
    &[
        UnsupportedQuery,
        InvalidHeaders,
        MissingToken,
        InvalidToken,
        Forbidden,
        NotFound,
        NotAcceptable,
        PreconditionFailed,
        Internal,
        Unavailable,
    ]
};
const CREATE_PROBLEMS: &[Problem] = {
    use Problem::*;
    &[
        UnsupportedQuery,
        NotJson,
        NotTheSchema,
        InvalidFields,
        InvalidHeaders,
        MissingToken,
        InvalidToken,
        Forbidden,
        NotFound,
        NotAcceptable,
        Conflict,
        TooLarge,
        Internal,
        Unavailable,
    ]
};
const MODIFY_PROBLEMS: &[Problem] = {
    use Problem::*;
    &[
        UnsupportedQuery,
        NotJson,
        NotTheSchema,
        InvalidFields,
        InvalidHeaders,
        MissingToken,
        InvalidToken,
        Forbidden,
        NotFoundToChange,
        Conflict,
        PreconditionFailed,
        TooLarge,
        Internal,
        Unavailable,
    ]
};
const DELETE_PROBLEMS: &[Problem] = {
    use Problem::*;
    &[UnsupportedQuery, InvalidHeaders, MissingToken, InvalidToken, Forbidden, NotFoundToChange, PreconditionFailed, Internal, Unavailable]
};
