-- Second factors. The data of an app's key is sealed; that of a passkey is its public half.
CREATE TABLE factor (
    id TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    kind TEXT NOT NULL CHECK (kind IN ('totp', 'passkey')),
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    credential_id TEXT UNIQUE,
    last_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX factor_person ON factor (person_id, created_at);

-- Recovery codes, stored hashed; each counts once.
CREATE TABLE recovery_code (
    hash TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    used_at BIGINT
);
CREATE INDEX recovery_code_person ON recovery_code (person_id);

-- What waits for a second step: a sign-in whose first step was right, or a factor that is being
-- enrolled in a session. Where a provider vouched, it can end the sign-in too.
CREATE TABLE challenge (
    hash TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    person_id TEXT NOT NULL REFERENCES person (id),
    session_id TEXT,
    source TEXT NOT NULL,
    provider_sid TEXT,
    data TEXT NOT NULL,
    wrong BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX challenge_person ON challenge (person_id, created_at);
CREATE INDEX challenge_end ON challenge (expires_at);

-- Answers of passkeys that were used alone: each counts once.
CREATE TABLE passkey_answer (
    hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_answer_end ON passkey_answer (expires_at);

-- When the person of a session last proved who they are; absent where that was its beginning.
ALTER TABLE session ADD COLUMN confirmed_at BIGINT DEFAULT NULL;
-- The path that is wanted by somebody who has to enrol a second factor first; absent in a session
-- that may do everything.
ALTER TABLE session ADD COLUMN enrol_for TEXT DEFAULT NULL;
