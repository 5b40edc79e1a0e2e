//! Events: the audit log (spec/contract/CONTRACT.md §9). None ever holds a secret, nor anything else that a client
//! wrote.

use super::{
    clock::Timestamp,
    id::{AccountId, EventId, RoleBindingId, TokenId, UserId},
    spelled,
};

spelled! {
    /// What kind of thing happened.
    Class, "must be user or security" {
        /// Somebody changed something.
        User = "user",
        /// Somebody was refused.
        Security = "security",
    }
}

spelled! {
    /// How much it matters.
    Severity, "must be informational or warning" {
        /// As it should be.
        Informational = "informational",
        /// Worth a look.
        Warning = "warning",
    }
}

/// What something was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A token, and whose it is.
    Token(TokenId, UserId),
    /// A user.
    User(UserId),
    /// A role binding, and whose it is.
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

    /// As in the resource's type, and as in prose.
    const fn noun(self) -> (&'static str, &'static str) {
        match self {
            Self::Token(..) => ("token", "token"),
            Self::User(_) => ("user", "user"),
            Self::RoleBinding(..) => ("roleBinding", "role binding"),
            Self::Account(_) => ("account", "account"),
        }
    }
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It came to be.
    Created,
    /// It changed.
    Modified,
    /// It is no more.
    Deleted,
    /// Its holder was turned away.
    Refused,
    /// It is no more, for its secret had got out.
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

/// The request in which something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Names the request, in the log and to the client.
    pub correlation_id: String,
    /// The path that was asked for, where it names a resource or a collection; `None` on the command line.
    pub uri: Option<String>,
    /// The request's method in lower case, where the published API knows it.
    pub method: Option<String>,
    /// The status of its answer when it succeeds; `None` where there is no method.
    pub status: Option<String>,
    /// The status of its answer when its token is refused; `None` where there is no method.
    pub status_of_refusal: Option<String>,
}

impl RequestContext {
    /// Something that no request asks for: an operator's command, or a start of the server.
    #[must_use]
    pub const fn without_request(correlation_id: String) -> Self {
        Self { correlation_id, uri: None, method: None, status: None, status_of_refusal: None }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// In whose log it stands.
    pub account_id: AccountId,
    /// Its place in that log: one more than the one before.
    pub sequence_count: i64,
    /// Which kind of event: `token.created`.
    pub name: String,
    /// In a few words.
    pub summary: String,
    /// In a sentence.
    pub description: String,
    /// What kind of thing happened.
    pub class: Class,
    /// How much it matters.
    pub severity: Severity,
    /// When; rises with `sequence_count`.
    pub created_at: Timestamp,
    /// What it was done to.
    pub resource_id: String,
    /// The media type of that.
    pub resource_type: String,
    /// Whose that is, for what belongs to a user.
    pub related_user_id: Option<UserId>,
    /// Who did it; the nil UUID for an operator at the command line.
    pub user_id: UserId,
    /// In which request.
    pub correlation_id: String,
    /// What that request asked for.
    pub resource_uri: Option<String>,
    /// How.
    pub resource_method: Option<String>,
    /// Its status.
    pub resource_method_result: Option<String>,
}

impl Event {
    /// An event of that kind. The log sets its place and time.
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
