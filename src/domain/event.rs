//! Events: the entries of the audit log (spec/contract/CONTRACT.md §9). An event never contains a secret or free text
//! from a client.

use super::{
    clock::Timestamp,
    id::{AccountId, EventId, RoleBindingId, TokenId, UserId},
    spelled,
};

spelled! {
    /// The class of an event.
    Class, "must be user or security" {
        /// A resource was created, modified or deleted.
        User = "user",
        /// A token was refused or reported as leaked.
        Security = "security",
    }
}

spelled! {
    /// The severity of an event.
    Severity, "must be informational or warning" {
        /// Normal operation.
        Informational = "informational",
        /// An operator should look into it.
        Warning = "warning",
    }
}

/// The resource that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A token, and the user that owns it.
    Token(TokenId, UserId),
    /// A user.
    User(UserId),
    /// A role binding, and the user that holds it.
    RoleBinding(RoleBindingId, UserId),
    /// An account.
    Account(AccountId),
}

impl Subject {
    fn id(self) -> String {
        match self {
            Self::Token(id, _) => id.to_string(),
            Self::User(id) => id.to_string(),
            Self::RoleBinding(id, _) => id.to_string(),
            Self::Account(id) => id.to_string(),
        }
    }

    /// The user that owns the subject; `None` for users and accounts.
    const fn user(self) -> Option<UserId> {
        match self {
            Self::Token(_, user) | Self::RoleBinding(_, user) => Some(user),
            Self::User(_) | Self::Account(_) => None,
        }
    }

    /// The resource's name in its media type, and in prose.
    const fn noun(self) -> (&'static str, &'static str) {
        match self {
            Self::Token(..) => ("token", "token"),
            Self::User(_) => ("user", "user"),
            Self::RoleBinding(..) => ("roleBinding", "role binding"),
            Self::Account(_) => ("account", "account"),
        }
    }
}

/// What happened to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was created.
    Created,
    /// It was modified.
    Modified,
    /// It was deleted.
    Deleted,
    /// The token was presented and refused.
    Refused,
    /// The token was deleted because its secret was reported as leaked.
    Leaked,
}

impl EventKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted | Self::Leaked => "deleted",
            Self::Refused => "refused",
        }
    }
}

/// The request that causes an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's correlation ID, in the log and in the response (`X-Correlation-ID`).
    pub correlation_id: String,
    /// The request's path if it names a resource or a collection; `None` on the command line.
    pub uri: Option<String>,
    /// The request's method in lower case, if the published API has that method.
    pub method: Option<String>,
    /// The HTTP status of a successful response; `None` if there is no such operation.
    pub status: Option<String>,
    /// The HTTP status of the response if the token is refused; `None` if `method` is.
    pub status_of_refusal: Option<String>,
}

impl RequestContext {
    /// The context of a change that no HTTP request causes: an operator's command, or a start of the server.
    #[must_use]
    pub const fn without_request(correlation_id: String) -> Self {
        Self { correlation_id, uri: None, method: None, status: None, status_of_refusal: None }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's id.
    pub id: EventId,
    /// The account whose log contains the event.
    pub account_id: AccountId,
    /// The event's number in that log: one more than that of the previous event.
    pub sequence_count: i64,
    /// The name of the kind of event, such as `token.created`.
    pub name: String,
    /// A summary in a few words.
    pub summary: String,
    /// A description in one sentence.
    pub description: String,
    /// The class of the event.
    pub class: Class,
    /// The severity of the event.
    pub severity: Severity,
    /// When the event happened; increases with `sequence_count`.
    pub created_at: Timestamp,
    /// The subject's id.
    pub resource_id: String,
    /// The subject's media type.
    pub resource_type: String,
    /// The user that owns the subject; `None` for users and accounts.
    pub related_user_id: Option<UserId>,
    /// The user that caused the event; the nil UUID for operator commands and reported leaks.
    pub user_id: UserId,
    /// The correlation ID of the request that caused the event.
    pub correlation_id: String,
    /// The path of that request.
    pub resource_uri: Option<String>,
    /// The method of that request, in lower case.
    pub resource_method: Option<String>,
    /// The HTTP status of the response to that request.
    pub resource_method_result: Option<String>,
}

impl Event {
    /// An event of this kind. `sequence_count` and `created_at` are set when the event is inserted into the log.
    #[must_use]
    pub fn new(
        id: EventId,
        account_id: AccountId,
        kind: EventKind,
        subject: Subject,
        by: UserId,
        context: &RequestContext,
    ) -> Self {
        let (type_name, noun) = subject.noun();
        let mut summary = format!("{noun} {}", kind.as_str());
        if let Some(first) = summary.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let alarming = matches!(kind, EventKind::Refused | EventKind::Leaked);
        let status = if kind == EventKind::Refused { &context.status_of_refusal } else { &context.status };
        let id_of_subject = subject.id();
        Self {
            id,
            account_id,
            sequence_count: 0,
            name: format!("{}.{}", type_name.to_ascii_lowercase(), kind.as_str()),
            description: match kind {
                EventKind::Refused => {
                    format!("The token {id_of_subject} was presented, and refused: its user is suspended or disabled.")
                }
                EventKind::Leaked => {
                    format!(
                        "The token {id_of_subject} was deleted: its secret was reported as found where it doesn't \
                            belong."
                    )
                }
                EventKind::Created | EventKind::Modified | EventKind::Deleted => {
                    format!("The {noun} {id_of_subject} was {}.", kind.as_str())
                }
            },
            summary,
            class: if alarming { Class::Security } else { Class::User },
            severity: if alarming { Severity::Warning } else { Severity::Informational },
            created_at: Timestamp::from_micros(0),
            resource_id: id_of_subject,
            resource_type: format!("application/astra-{type_name}"),
            related_user_id: subject.user(),
            user_id: by,
            correlation_id: context.correlation_id.clone(),
            resource_uri: context.uri.clone(),
            resource_method: context.method.clone(),
            resource_method_result: status.clone(),
        }
    }
}
