-- What users, role bindings, accounts and events need beside tokens. Each field that orders has an index for either direction, for ties
-- rise by creation in both. `last_act_at` has none: it is written often.

ALTER TABLE accounts ADD COLUMN contact bytewise_text;
-- How many events the account has ever had: the place of the last one.
ALTER TABLE accounts ADD COLUMN event_count BIGINT NOT NULL DEFAULT 0;

ALTER TABLE users ADD COLUMN company_name bytewise_text;
ALTER TABLE users ADD COLUMN phone bytewise_text;
ALTER TABLE users ADD COLUMN postal_address bytewise_text;
ALTER TABLE users ADD COLUMN auth_provider bytewise_text NOT NULL DEFAULT 'local';
ALTER TABLE users ADD COLUMN auth_id bytewise_text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN last_act_at BIGINT;
UPDATE users SET auth_id = email;

CREATE INDEX users_by_creation ON users (account_id, created_at, id);
CREATE INDEX users_by_id ON users (account_id, id);
CREATE INDEX users_by_email ON users (account_id, email, created_at, id);
CREATE INDEX users_by_email_descending ON users (account_id, email DESC, created_at, id);
CREATE INDEX users_by_first_name ON users (account_id, first_name, created_at, id);
CREATE INDEX users_by_first_name_descending ON users (account_id, first_name DESC, created_at, id);
CREATE INDEX users_by_last_name ON users (account_id, last_name, created_at, id);
CREATE INDEX users_by_last_name_descending ON users (account_id, last_name DESC, created_at, id);
CREATE INDEX users_by_company_name ON users (account_id, company_name, created_at, id);
CREATE INDEX users_by_company_name_descending ON users (account_id, company_name DESC, created_at, id);
CREATE INDEX users_by_phone ON users (account_id, phone, created_at, id);
CREATE INDEX users_by_phone_descending ON users (account_id, phone DESC, created_at, id);
CREATE INDEX users_by_auth_id ON users (account_id, auth_id, created_at, id);
CREATE INDEX users_by_auth_id_descending ON users (account_id, auth_id DESC, created_at, id);
CREATE INDEX users_by_auth_provider ON users (account_id, auth_provider, created_at, id);
CREATE INDEX users_by_auth_provider_descending ON users (account_id, auth_provider DESC, created_at, id);
CREATE INDEX users_by_state ON users (account_id, state, created_at, id);
CREATE INDEX users_by_state_descending ON users (account_id, state DESC, created_at, id);
CREATE INDEX users_by_is_enabled ON users (account_id, is_enabled, created_at, id);
CREATE INDEX users_by_is_enabled_descending ON users (account_id, is_enabled DESC, created_at, id);
CREATE INDEX users_by_enabled_at ON users (account_id, enabled_at, created_at, id);
CREATE INDEX users_by_enabled_at_descending ON users (account_id, enabled_at DESC, created_at, id);

DROP INDEX role_bindings_by_account;
CREATE INDEX role_bindings_by_creation ON role_bindings (account_id, created_at, id);
CREATE INDEX role_bindings_by_id ON role_bindings (account_id, id);
CREATE INDEX role_bindings_by_user ON role_bindings (account_id, user_id, created_at, id);
CREATE INDEX role_bindings_by_user_descending ON role_bindings (account_id, user_id DESC, created_at, id);
CREATE INDEX role_bindings_by_role ON role_bindings (account_id, role, created_at, id);
CREATE INDEX role_bindings_by_role_descending ON role_bindings (account_id, role DESC, created_at, id);

-- When the token was last turned away with an event to tell of it.
ALTER TABLE tokens ADD COLUMN refused_at BIGINT;

-- Neither users nor resources are referred to: the log outlives them.
CREATE TABLE events (
    id bytewise_text NOT NULL PRIMARY KEY,
    account_id bytewise_text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
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
CREATE INDEX events_by_creation ON events (account_id, created_at, id);
CREATE INDEX events_by_creation_descending ON events (account_id, created_at DESC, id);
CREATE INDEX events_by_author_descending ON events (account_id, user_id, created_at DESC, id);
CREATE INDEX events_by_resource_descending ON events (account_id, resource_id DESC, created_at, id);
CREATE INDEX events_by_sequence_descending ON events (account_id, sequence_count DESC, created_at, id);
CREATE INDEX events_by_author ON events (account_id, user_id, created_at, id);
CREATE INDEX events_by_resource ON events (account_id, resource_id, created_at, id);
CREATE INDEX events_by_age ON events (created_at);
