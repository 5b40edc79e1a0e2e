-- How many tokens a user has at most, and how many users an account: raised with each that is created, and never lowered but when they are
-- counted. A bound that is below the quota tells without counting that there is room. NULL: not counted yet.
ALTER TABLE users ADD COLUMN tokens_at_most BIGINT;
ALTER TABLE accounts ADD COLUMN users_at_most BIGINT;
