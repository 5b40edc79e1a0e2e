//! The table of operations: what each of them is, in a row. The document, the gate, links, examples and the tests read
//! it, and nothing else says what kind of operation one is.

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

/// `table! { id shape noun within action errors [problems]; … }`
macro_rules! table {
    ($($id:ident $shape:ident $noun:ident $within:ident $action:ident $errors:ident [$($problem:ident),*];)*) => {
        /// All operations.
        pub const TABLE: &[Operation] = &[$(Operation {
            id: stringify!($id),
            shape: Shape::$shape,
            noun: Noun::$noun,
            within: Within::$within,
            action: table!(@action $action),
            errors: Errors::$errors,
            own_problems: &[$(Problem::$problem),*],
        },)*];
    };
    (@action None) => { None };
    (@action $action:ident) => { Some(Action::$action) };
}

#[rustfmt::skip]
table! {
    // id                        shape    noun        within  action             errors
    retrieve_token              Retrieve Token       User    ReadTokens         Problem [];
    modify_token                Modify   Token       User    ChangeTokens       Problem [];
    delete_token                Delete   Token       User    ChangeTokens       Problem [];
    list_tokens                 List     Token       User    ReadTokens         Problem [];
    create_token                Create   Token       User    CreateTokens       Problem [];
    retrieve_user               Retrieve User        Account ReadPeople         Problem [];
    modify_user                 Modify   User        Account ModifyProfile      Problem [];
    delete_user                 Delete   User        Account AdministerUsers    Problem [];
    list_users                  List     User        Account ReadPeople         Problem [];
    create_user                 Create   User        Account AdministerUsers    Problem [];
    retrieve_role_binding       Retrieve RoleBinding Account ReadPeople         Problem [];
    modify_role_binding         Modify   RoleBinding Account ChangeRoleBindings Problem [];
    delete_role_binding         Delete   RoleBinding Account ChangeRoleBindings Problem [];
    list_role_bindings          List     RoleBinding Account ReadPeople         Problem [];
    create_role_binding         Create   RoleBinding Account ChangeRoleBindings Problem [];
    retrieve_user_role_binding  Retrieve RoleBinding User    ReadPeople         Problem [];
    modify_user_role_binding    Modify   RoleBinding User    ChangeRoleBindings Problem [];
    delete_user_role_binding    Delete   RoleBinding User    ChangeRoleBindings Problem [];
    list_user_role_bindings     List     RoleBinding User    ReadPeople         Problem [];
    create_user_role_binding    Create   RoleBinding User    ChangeRoleBindings Problem [];
    retrieve_account            Retrieve Account     Nothing ReadAccount        Problem [];
    modify_account              Modify   Account     Nothing ChangeAccount      Problem [];
    delete_account              Delete   Account     Nothing ChangeAccount      Problem [];
    list_accounts               List     Account     Nothing None               Problem [];
    create_account              Create   Account     Nothing ChangeAccount      Problem [];
    retrieve_event              Retrieve Event       Account ReadEvents         Problem [];
    list_events                 List     Event       Account ReadEvents         Problem [];
    verify_token                Ask      Token       Nothing None               Bare   
        [MissingToken, Forbidden, Internal, Unavailable];
    who_am_i                    Ask      Token       Nothing None               Problem
        [UnsupportedQuery, MissingToken, InvalidToken, TooManyFailures, Internal, Unavailable];
    revoke_presented_token      Act      Token       Nothing None               Problem
        [UnsupportedQuery, MissingToken, InvalidToken, TooManyFailures, Internal, Unavailable];
    introspect_token            Ask      Token       Nothing IntrospectTokens   OAuth  
        [NotTheSchema, MissingToken, InvalidToken, Forbidden, TooLarge, TooManyFailures, Internal, Unavailable];
    revoke_token                Act      Token       Nothing None               OAuth  
        [NotTheSchema, TooLarge, Internal, Unavailable];
    report_leaks                Act      Token       Nothing None               Problem
        [UnsupportedQuery, NotJson, NotTheSchema, InvalidHeaders, TooLarge, Internal, Unavailable, TooManyFailures];
    explain_problem             Explain  Explanation Nothing None               Problem [UnsupportedQuery, NotFound];
    check_health                Check    Process     Nothing None               Problem [];
    check_readiness             Check    Process     Nothing None               Problem [];
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

    /// Whether something that it names can be missing. An account that isn't there is forbidden; only what lies in one
    /// is missing.
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

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => { &[$(Problem::$kind),*] };
}

const LIST_PROBLEMS: &[Problem] = kinds![
    InvalidQuery,
    UnsupportedQuery,
    MissingToken,
    InvalidToken,
    Forbidden,
    NotFound,
    NotAcceptable,
    Internal,
    Unavailable
];
const RETRIEVE_PROBLEMS: &[Problem] = kinds![
    UnsupportedQuery,
    InvalidHeaders,
    MissingToken,
    InvalidToken,
    Forbidden,
    NotFound,
    NotAcceptable,
    PreconditionFailed,
    Internal,
    Unavailable
];
const CREATE_PROBLEMS: &[Problem] = kinds![
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
    Unavailable
];
const MODIFY_PROBLEMS: &[Problem] = kinds![
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
    Unavailable
];
const DELETE_PROBLEMS: &[Problem] = kinds![
    UnsupportedQuery,
    InvalidHeaders,
    MissingToken,
    InvalidToken,
    Forbidden,
    NotFoundToChange,
    PreconditionFailed,
    Internal,
    Unavailable
];
