-- Deleting a user with very many tokens, or an account with very many events, takes effect at once and is finished in the background. So
-- tokens no longer refer to their users, nor events to their accounts: what is left of a deleted one is reached by nobody, for every query
-- finds tokens through their user and events through their account. SQLite can't drop a reference; both tables are made anew.

ALTER TABLE tokens RENAME TO tokens_before;
CREATE TABLE tokens (
    id bytewise_text NOT NULL PRIMARY KEY,
    -- A user, or one of the deletions below.
    user_id bytewise_text NOT NULL,
    name bytewise_text NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    labels bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by bytewise_text NOT NULL,
    modified_by bytewise_text,
    -- When the token was last turned away with an event to tell of it.
    refused_at BIGINT
);
INSERT INTO tokens (id, user_id, name, digest, labels, created_at, modified_at, created_by, modified_by, refused_at)
    SELECT id, user_id, name, digest, labels, created_at, modified_at, created_by, modified_by, refused_at FROM tokens_before;

-- Who may know a token's secret beside its user: whoever made it, or made the token that it was made with, and so on, and whoever those
-- tokens were for. Operators count as nobody.
CREATE TABLE token_knowers (
    token_id bytewise_text NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    user_id bytewise_text NOT NULL,
    PRIMARY KEY (token_id, user_id)
);
CREATE INDEX token_knowers_by_user ON token_knowers (user_id, token_id);
-- Of earlier tokens it isn't known with which of its maker's tokens one was made: whoever may know any of those counts.
INSERT INTO token_knowers (token_id, user_id)
    WITH RECURSIVE known (user_id, knower) AS (
        SELECT DISTINCT user_id, vouched_by FROM tokens_before
            WHERE vouched_by <> user_id AND vouched_by NOT IN ('', '00000000-0000-0000-0000-000000000000')
        UNION
        SELECT known.user_id, t.vouched_by FROM known JOIN tokens_before t ON t.user_id = known.knower
            WHERE t.vouched_by <> t.user_id AND t.vouched_by NOT IN ('', '00000000-0000-0000-0000-000000000000')
    )
    SELECT id, vouched_by FROM tokens_before
        WHERE vouched_by <> user_id AND vouched_by NOT IN ('', '00000000-0000-0000-0000-000000000000')
    UNION
    SELECT t.id, known.knower FROM tokens_before t JOIN known ON known.user_id = t.vouched_by
        WHERE t.vouched_by <> t.user_id AND known.knower <> t.user_id;

DROP TABLE tokens_before;
CREATE INDEX tokens_by_creation ON tokens (user_id, created_at, id);
CREATE INDEX tokens_by_name ON tokens (user_id, name, created_at, id);
CREATE INDEX tokens_by_name_descending ON tokens (user_id, name DESC, created_at, id);
CREATE INDEX tokens_by_id ON tokens (user_id, id);

ALTER TABLE events RENAME TO events_before;
CREATE TABLE events (
    id bytewise_text NOT NULL PRIMARY KEY,
    account_id bytewise_text NOT NULL,
    sequence_count BIGINT NOT NULL,
    name bytewise_text NOT NULL,
    summary bytewise_text NOT NULL,
    description bytewise_text NOT NULL,
    class bytewise_text NOT NULL,
    severity bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    resource_id bytewise_text NOT NULL,
    resource_type bytewise_text NOT NULL,
    related_user_id bytewise_text,
    user_id bytewise_text NOT NULL,
    correlation_id bytewise_text NOT NULL,
    resource_uri bytewise_text,
    resource_method bytewise_text,
    resource_method_result bytewise_text,
    UNIQUE (account_id, sequence_count)
);
INSERT INTO events (id, account_id, sequence_count, name, summary, description, class, severity, created_at, resource_id, resource_type,
        related_user_id, user_id, correlation_id, resource_uri, resource_method, resource_method_result)
    SELECT id, account_id, sequence_count, name, summary, description, class, severity, created_at, resource_id, resource_type,
        related_user_id, user_id, correlation_id, resource_uri, resource_method, resource_method_result FROM events_before;
DROP TABLE events_before;
CREATE INDEX events_by_creation ON events (account_id, created_at, id);
CREATE INDEX events_by_creation_descending ON events (account_id, created_at DESC, id);
CREATE INDEX events_by_author_descending ON events (account_id, user_id, created_at DESC, id);
CREATE INDEX events_by_resource_descending ON events (account_id, resource_id DESC, created_at, id);
CREATE INDEX events_by_sequence_descending ON events (account_id, sequence_count DESC, created_at, id);
CREATE INDEX events_by_author ON events (account_id, user_id, created_at, id);
CREATE INDEX events_by_resource ON events (account_id, resource_id, created_at, id);
CREATE INDEX events_by_age ON events (created_at);

-- A deleted account may have very many users; its row stays until they are gone. Until then nobody is at home in it or has a role in it.
ALTER TABLE accounts ADD COLUMN is_deleted BOOLEAN NOT NULL DEFAULT FALSE;

-- What is yet to be deleted in the background: the tokens whose user_id is this id, with an event for each in the account's log while
-- there is one; or the account of this id with all that it contains.
CREATE TABLE deletions (
    id bytewise_text NOT NULL PRIMARY KEY,
    -- Whose the tokens were.
    user_id bytewise_text NOT NULL,
    account_id bytewise_text NOT NULL,
    -- Who deleted them, and in which request.
    deleted_by bytewise_text NOT NULL,
    correlation_id bytewise_text NOT NULL,
    uri bytewise_text,
    method bytewise_text
);

-- Up to which instant events have been forgotten: the clock alone isn't believed when it has jumped.
ALTER TABLE instance ADD COLUMN pruned_before BIGINT;
