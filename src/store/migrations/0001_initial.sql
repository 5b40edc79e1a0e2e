-- One text for both databases. `codepoint_text` is a domain on PostgreSQL (text that collates by code point) and, by SQLite's
-- affinity rules, plain TEXT there. Identifiers are text, so that filters compare them as clients see them. Instants are
-- microseconds since the Unix epoch. Labels are a JSON list.

CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    continue_key BYTEA NOT NULL
);

CREATE TABLE accounts (
    id codepoint_text NOT NULL PRIMARY KEY,
    name codepoint_text NOT NULL,
    is_enabled BOOLEAN NOT NULL,
    enabled_at BIGINT,
    labels codepoint_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by codepoint_text NOT NULL,
    modified_by codepoint_text,
    -- Every change in an account first moves this on: that orders the changes of one account, one after the other.
    changed_at BIGINT NOT NULL
);

CREATE TABLE users (
    id codepoint_text NOT NULL PRIMARY KEY,
    account_id codepoint_text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    email codepoint_text NOT NULL,
    email_key codepoint_text NOT NULL,
    first_name codepoint_text NOT NULL,
    last_name codepoint_text NOT NULL,
    state codepoint_text NOT NULL CHECK (state IN ('active', 'suspended')),
    is_enabled BOOLEAN NOT NULL,
    enabled_at BIGINT,
    labels codepoint_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by codepoint_text NOT NULL,
    modified_by codepoint_text,
    UNIQUE (account_id, email_key)
);

CREATE TABLE role_bindings (
    id codepoint_text NOT NULL PRIMARY KEY,
    account_id codepoint_text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id codepoint_text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role codepoint_text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    role_constraints codepoint_text NOT NULL,
    labels codepoint_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by codepoint_text NOT NULL,
    modified_by codepoint_text,
    UNIQUE (user_id, account_id)
);
CREATE INDEX role_bindings_by_account ON role_bindings (account_id);

CREATE TABLE tokens (
    id codepoint_text NOT NULL PRIMARY KEY,
    user_id codepoint_text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name codepoint_text NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    labels codepoint_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by codepoint_text NOT NULL,
    modified_by codepoint_text
);
CREATE INDEX tokens_by_creation ON tokens (user_id, created_at, id);
CREATE INDEX tokens_by_name ON tokens (user_id, name, created_at, id);
CREATE INDEX tokens_by_name_descending ON tokens (user_id, name DESC, created_at, id);
CREATE INDEX tokens_by_id ON tokens (user_id, id);
