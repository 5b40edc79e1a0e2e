-- One text for both databases. `bytewise_text` is a domain on PostgreSQL (text that collates by byte, which in UTF-8 is by code
-- point) and, by SQLite's affinity rules, plain TEXT there. Identifiers are text, so that filters compare them as clients see them. Instants are
-- microseconds since the Unix epoch. Labels are a JSON list.

CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    continue_key BYTEA NOT NULL
);

CREATE TABLE accounts (
    id bytewise_text NOT NULL PRIMARY KEY,
    name bytewise_text NOT NULL,
    is_enabled BOOLEAN NOT NULL,
    enabled_at BIGINT,
    labels bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by bytewise_text NOT NULL,
    modified_by bytewise_text,
    -- Every change in an account first moves this on: that orders the changes of one account, one after the other.
    changed_at BIGINT NOT NULL
);

CREATE TABLE users (
    id bytewise_text NOT NULL PRIMARY KEY,
    account_id bytewise_text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    email bytewise_text NOT NULL,
    email_key bytewise_text NOT NULL,
    first_name bytewise_text NOT NULL,
    last_name bytewise_text NOT NULL,
    state bytewise_text NOT NULL CHECK (state IN ('active', 'suspended')),
    is_enabled BOOLEAN NOT NULL,
    enabled_at BIGINT,
    labels bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by bytewise_text NOT NULL,
    modified_by bytewise_text,
    UNIQUE (account_id, email_key)
);

CREATE TABLE role_bindings (
    id bytewise_text NOT NULL PRIMARY KEY,
    account_id bytewise_text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id bytewise_text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role bytewise_text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
    role_constraints bytewise_text NOT NULL,
    labels bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by bytewise_text NOT NULL,
    modified_by bytewise_text,
    UNIQUE (user_id, account_id)
);
CREATE INDEX role_bindings_by_account ON role_bindings (account_id);

CREATE TABLE tokens (
    id bytewise_text NOT NULL PRIMARY KEY,
    user_id bytewise_text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name bytewise_text NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    labels bytewise_text NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    created_by bytewise_text NOT NULL,
    modified_by bytewise_text
);
CREATE INDEX tokens_by_creation ON tokens (user_id, created_at, id);
CREATE INDEX tokens_by_name ON tokens (user_id, name, created_at, id);
CREATE INDEX tokens_by_name_descending ON tokens (user_id, name DESC, created_at, id);
CREATE INDEX tokens_by_id ON tokens (user_id, id);
