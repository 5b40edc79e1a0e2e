//! The catalogue of problems (spec/contract/CONTRACT.md §5): the only place that defines the facts about each kind.
//! Responses, the document, the pages and the metrics read it.

use poem::http::StatusCode;

/// The `number` of problems that aren't in the published catalogue; their type is `about:blank` (RFC 9457 §4.2.1).
pub(in crate::api) const NO_NUMBER: u16 = 0;

/// The facts about a kind of problem.
#[derive(Debug)]
pub(in crate::api) struct Entry {
    /// The number at the end of its `type`, or [`NO_NUMBER`].
    pub number: u16,
    /// The status of the response.
    pub status: StatusCode,
    /// The problem's `title`: a short name of the kind.
    pub title: &'static str,
    /// The problem's `detail`: a description of the kind in one sentence.
    pub detail: &'static str,
    /// The explanation, for the page of each kind that has a number.
    pub explanation: Option<Explanation>,
    /// The error code and description for OAuth 2.0 clients (RFC 6749 §5.2, RFC 6750 §3.1).
    pub oauth: (&'static str, &'static str),
    /// The metrics' label `outcome` of a verification that ends with this problem.
    pub outcome: &'static str,
}

/// What a problem means, and what to do about it.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Explanation {
    pub meaning: &'static str,
    pub remedy: &'static str,
}

macro_rules! catalogue {
    ($(
        $kind:ident = $number:tt $status:ident $title:literal: $detail:literal
            $(meaning $meaning:literal remedy $remedy:literal)?
            $(oauth $code:literal $description:literal)?
            $(outcome $outcome:literal)?;
    )*) => {
        /// A kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::api) enum Kind {
            $(
                #[doc = $detail]
                $kind,
            )*
        }

        impl Kind {
            /// All kinds of problems.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The facts about this kind.
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$kind => &Entry {
                        number: $number,
                        status: StatusCode::$status,
                        title: $title,
                        detail: $detail,
                        explanation: catalogue!(@explanation $($meaning $remedy)?),
                        oauth: catalogue!(@oauth $($code $description)?),
                        outcome: catalogue!(@outcome $($outcome)?),
                    },)*
                }
            }
        }
    };
    (@explanation $meaning:literal $remedy:literal) => { Some(Explanation { meaning: $meaning, remedy: $remedy }) };
    (@explanation) => { None };
    (@oauth $code:literal $description:literal) => { ($code, $description) };
    (@oauth) => { ("invalid_request", "The request is malformed.") };
    (@outcome $outcome:literal) => { $outcome };
    (@outcome) => { "malformed" };
}

catalogue! {
    NotFoundToChange = 1 NOT_FOUND "Resource not found": "The resource specified in the request URI wasn't found."
        meaning "What you wanted to change or delete isn't there: it never was, somebody has deleted it, or its id is \
            misspelled."
        remedy "List the collection to see what there is. If you were deleting it, there is nothing left to do."
        oauth "invalid_request" "There is nothing here.";
    NotFound = 2 NOT_FOUND "Collection not found": "The collection specified in the request URI wasn't found."
        meaning "Nothing is at this address: the resource or its collection doesn't exist, or the path is misspelled."
        remedy "Compare the path with the document, and the ids in it with those in the collection that contains them."
        oauth "invalid_request" "There is nothing here.";
    MissingToken = 3 UNAUTHORIZED "Missing bearer token": "The request is missing the required bearer token."
        meaning "The request doesn't say who you are."
        remedy "Send the header `Authorization: Bearer` with a token's secret behind it, as it was shown when the \
            token was issued."
        oauth "invalid_client" "The caller must present a bearer token of its own."
        outcome "missing";
    InvalidToken = 4 UNAUTHORIZED "Invalid bearer token": "The bearer token provided is invalid, revoked, or doesn't \
        exist."
        meaning "The secret that you sent opens nothing now: it is mistyped, nobody's or revoked, or its user is \
            suspended or disabled."
        remedy "Check that the whole secret was copied, all 56 characters. If it was, ask somebody who administers \
            your account for a new token."
        oauth "invalid_token" "The caller's own token is unknown, revoked, or not to be used now."
        outcome "refused";
    InvalidQuery = 5 BAD_REQUEST "Invalid query parameters": "The supplied query parameters are invalid."
        meaning "The query has parameters whose values can't be used. `invalidParams` names all of them, each with a \
            reason."
        remedy "Mend those parameters. A `continue` token holds for the collection, filter and order that it was made \
            with; without it, a \
                listing begins anew.";
    UnsupportedQuery = 6 BAD_REQUEST "Query parameters not supported": "The supplied query parameters aren't supported \
        for this endpoint."
        meaning "The query has parameters that this operation doesn't know. `invalidParams` names them, at most 16 of \
            them."
        remedy "Leave them out, and look for misspelled names: they count in upper and lower case.";
    NotJson = 7 BAD_REQUEST "Invalid JSON payload": "The request body is not valid JSON."
        meaning "The body isn't JSON: it is empty, breaks off, has a key twice, isn't UTF-8, or is nested too deep."
        remedy "Send exactly one JSON value, and let a JSON library write it.";
    NotTheSchema = 8 BAD_REQUEST "Invalid JSON resource": "The request body JSON doesn't conform to the schema."
        meaning "The body is JSON, but not of the form that the operation takes. `schemaValidationFailure` says where \
            and why."
        remedy "Compare the body with the schema in the document: required fields, types, lengths, and no fields \
            beside those.";
    InvalidFields = 9 BAD_REQUEST "Invalid JSON resource": "The request body JSON didn't pass extended validation."
        meaning "The body has the right form, but some values break a rule that the form can't say. `invalidFields` \
            names all of them."
        remedy "Mend those fields as their reasons say.";
    Conflict = 10 CONFLICT "JSON resource conflict": "The request body JSON contains a field that conflicts with an \
        idempotent value."
        meaning "The body contradicts something that is so and stays so: an id, an email that is taken, an account's \
            last owner. \
                 `invalidFields` names the fields."
        remedy "Leave out what can't change, or give another value. Before an account's last owner can go, make \
            another one.";
    Forbidden = 11 FORBIDDEN "Operation not permitted": "The requested operation isn't permitted."
        meaning "You are known, but may not do this here. Also the answer for accounts in which you have no role, \
            whether they exist or \
                 not, and when there is as much of something as the server allows: then `reason` says of what."
        remedy "Check the account's id. If it is right, ask one of the account's admins or owners for the role that \
            this takes."
        oauth "insufficient_scope" "Only admins and owners of an account may ask about tokens of others."
        outcome "forbidden";
    InvalidHeaders = 12 BAD_REQUEST "Invalid headers": "The request headers are invalid."
        meaning "Headers of the request can't be used. `invalidParams` names them."
        remedy "Send JSON as `application/json`, and entity tags in conditional headers just as they were received, \
            with their quotes."
        oauth "invalid_request" "The body must be a form: application/x-www-form-urlencoded.";
    NotAcceptable = 32 NOT_ACCEPTABLE "Unsupported content type": "The response can't be returned in the requested \
        format."
        meaning "Nothing that the server could answer is among what `Accept` takes."
        remedy "Accept `application/json`, or leave the header out.";
    Internal = 34 INTERNAL_SERVER_ERROR "Internal server error": "The server was unable to process this request."
        meaning "The server has failed. It isn't your request's fault, and no detail of it is told."
        remedy "Try again later. If it stays so, give the `correlationID` to whoever runs the server: the log has the \
            cause under it."
        oauth "server_error" "The server was unable to process this request."
        outcome "failed";
    PreconditionFailed = 38 PRECONDITION_FAILED "Precondition not met": "The conditional headers aren't satisfied."
        meaning "The resource isn't in the state that your conditional headers ask for: most often, somebody changed \
            it since you read \
                 it. Nothing was changed."
        remedy "Read it again, see whether your change still makes sense, and send it with the new entity tag.";
    Unavailable = 41 SERVICE_UNAVAILABLE "Service not ready": "Currently, the service can't respond to this request."
        meaning "The server can't serve this now: its database can't be reached, or it has too much to do."
        remedy "Wait as long as `Retry-After` says, then try again. A write may have happened or not: read before you \
            repeat it."
        oauth "temporarily_unavailable" "The service can't answer now."
        outcome "failed";
    MethodNotAllowed = 69 METHOD_NOT_ALLOWED "Method not supported": "The requested method isn't supported for the \
        specified resource."
        meaning "This address doesn't know the request's method."
        remedy "Use one of those in the `Allow` header."
        oauth "invalid_request" "The method must be POST.";
    TooLarge = 85 PAYLOAD_TOO_LARGE "Request body too large": "The request body is too large."
        meaning "The body is larger than the 64 KiB that are read."
        remedy "Send less: fewer or shorter labels, for instance."
        oauth "invalid_request" "The body is too large.";
    TooManyFailures = NO_NUMBER TOO_MANY_REQUESTS "Too Many Requests": "Too many requests of this kind have come from \
        this address. Good tokens are still accepted."
        oauth "temporarily_unavailable" "Too many tokens from this address were refused."
        outcome "limited";
    Malformed = NO_NUMBER BAD_REQUEST "Bad Request": "What was sent is no HTTP request.";
    BodyTooSlow = NO_NUMBER REQUEST_TIMEOUT "Request Timeout": "The request body has taken too long to arrive.";
    UriTooLong = NO_NUMBER URI_TOO_LONG "URI Too Long": "The request's URI is too long.";
    HeadTooLarge = NO_NUMBER REQUEST_HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large": "The request has too \
        many headers, or they are too large.";
}
