//! The table of operations, with one row for each. The document, the gate, links, examples and the tests read it; it is
//! the only place that defines the kind of an operation.

use super::wire::catalogue::Kind as Problem;
use crate::service::policy::Action;

/// The path at which proxies verify tokens, with every method and every path below it.
pub const VERIFY: &str = "/verify";

/// The kind of an operation: what it does with its noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Returns one resource.
    Retrieve,
    /// Returns a page of a collection.
    List,
    /// Creates a resource.
    Create,
    /// Modifies a resource.
    Modify,
    /// Deletes a resource.
    Delete,
    /// Performs another action, such as revoking a token by its secret.
    Act,
    /// Verifies a secret.
    Ask,
    /// Returns an explanation.
    Explain,
    /// Checks the health of the process.
    Check,
}

/// The kind of thing that an operation is about.
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

/// The parent of the noun in the operation's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// No parent.
    Nothing,
    /// An account.
    Account,
    /// A user of an account.
    User,
}

/// The format of an operation's error responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// A problem (RFC 9457).
    Problem,
    /// An OAuth 2.0 error (RFC 6749 §5.2).
    OAuth,
    /// Status and headers only, without a body.
    Bare,
}

/// An operation: a row of the table.
#[derive(Debug)]
pub struct Operation {
    /// The operation's id in the document.
    pub id: &'static str,
    /// What the operation does with its noun.
    pub shape: Shape,
    /// The kind of thing that the operation is about.
    pub noun: Noun,
    /// The parent of the noun.
    pub within: Within,
    /// The action that the policy must permit, if there is one.
    pub action: Option<Action>,
    /// The format of the operation's error responses.
    pub errors: Errors,
    /// The problems of an operation outside the contract's resources; for resources, they follow from the shape.
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

    /// Whether the operation acts on a single thing that the request identifies.
    #[must_use]
    pub const fn is_on_one(&self) -> bool {
        matches!(self.shape, Shape::Retrieve | Shape::Modify | Shape::Delete | Shape::Act)
    }

    /// Whether the operation can fail because a resource doesn't exist. An unknown account is answered with 403; only
    /// resources inside an account are answered with 404.
    #[must_use]
    pub const fn can_miss(&self) -> bool {
        match self.within {
            Within::Nothing => false,
            Within::Account => self.is_on_one(),
            Within::User => true,
        }
    }

    /// The conditional headers that the operation evaluates (spec/contract/CONTRACT.md §4).
    #[must_use]
    pub const fn conditions(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::Retrieve => &["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"],
            Shape::Modify => &["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since"],
            Shape::Delete => &["If-Match", "If-None-Match", "If-Unmodified-Since"],
            _ => &[],
        }
    }

    /// The problems that the document lists for the operation.
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
            // Creating a token or an account never conflicts: their names need not be unique.
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
