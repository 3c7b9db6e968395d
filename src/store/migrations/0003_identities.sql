-- What a source said of a person at their last sign-in, as a JSON object: `mapping diff` reads it.
-- Nothing where the person has not signed in there, or where it was too long to keep.
ALTER TABLE identity ADD COLUMN claims TEXT DEFAULT NULL;
ALTER TABLE identity ADD COLUMN last_sign_in_at BIGINT DEFAULT NULL;

-- What the provider that a session came from knows it by.
ALTER TABLE session ADD COLUMN provider_sid TEXT DEFAULT NULL;
ALTER TABLE session ADD COLUMN id_token TEXT DEFAULT NULL;
CREATE INDEX session_provider ON session (source, provider_sid) WHERE provider_sid IS NOT NULL;
