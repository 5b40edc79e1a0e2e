-- Who may know a token's secret beside its user: whoever made it, or made the token that it was made with.
ALTER TABLE tokens ADD COLUMN vouched_by bytewise_text NOT NULL DEFAULT '';
UPDATE tokens SET vouched_by = created_by;
