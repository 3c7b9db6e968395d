-- The ledger. BIGINT and TEXT alone; instants are UTC milliseconds; ids and tokens are ours;
-- secrets are stored as hashes.

-- One row: what every decision shares. It is written in each transaction.
CREATE TABLE gate (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last_decision_at BIGINT NOT NULL,
    cals_taken BIGINT NOT NULL CHECK (cals_taken >= 0),
    license_version BIGINT NOT NULL,
    allow_license_lease BIGINT NOT NULL CHECK (allow_license_lease IN (0, 1)),
    allow_dynamic_assignment BIGINT NOT NULL CHECK (allow_dynamic_assignment IN (0, 1)),
    session_epoch BIGINT NOT NULL,
    audit_seq BIGINT NOT NULL,
    audit_hash TEXT NOT NULL
);
INSERT INTO gate (id, last_decision_at, cals_taken, license_version, allow_license_lease,
    allow_dynamic_assignment, session_epoch, audit_seq, audit_hash)
VALUES (1, 0, 0, 0, 1, 1, 0, 0, '');

CREATE TABLE license (
    version BIGINT NOT NULL PRIMARY KEY,
    lef TEXT NOT NULL,
    loaded_at BIGINT NOT NULL,
    forced BIGINT NOT NULL CHECK (forced IN (0, 1))
);

CREATE TABLE person (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    roles TEXT NOT NULL,
    user_groups TEXT NOT NULL,
    automatic_cal TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_sign_in_at BIGINT
);

CREATE TABLE identity (
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    person_id TEXT NOT NULL REFERENCES person (id),
    PRIMARY KEY (source, subject)
);
CREATE INDEX identity_person ON identity (person_id);

CREATE TABLE password (
    person_id TEXT NOT NULL PRIMARY KEY REFERENCES person (id),
    hash TEXT NOT NULL,
    set_at BIGINT NOT NULL
);

CREATE TABLE cal (
    person_id TEXT NOT NULL PRIMARY KEY REFERENCES person (id),
    state TEXT NOT NULL CHECK (state IN ('assigned', 'quarantined')),
    assigned_at BIGINT NOT NULL,
    last_used_at BIGINT,
    quarantined_since BIGINT,
    quarantined_until BIGINT,
    CHECK (state = 'assigned' OR (last_used_at IS NOT NULL AND quarantined_until > quarantined_since))
);
CREATE INDEX cal_quarantine ON cal (quarantined_until) WHERE state = 'quarantined';

CREATE TABLE workstation (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    merged_into TEXT
);
CREATE INDEX workstation_merged ON workstation (merged_into) WHERE merged_into IS NOT NULL;

-- Who signed in on which workstation, and when last.
CREATE TABLE workstation_person (
    person_id TEXT NOT NULL REFERENCES person (id),
    workstation_id TEXT NOT NULL REFERENCES workstation (id),
    last_sign_in_at BIGINT NOT NULL,
    PRIMARY KEY (person_id, workstation_id)
);
CREATE INDEX workstation_person_workstation ON workstation_person (workstation_id);

CREATE TABLE lease (
    id TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    workstation_id TEXT NOT NULL REFERENCES workstation (id),
    state TEXT NOT NULL CHECK (state IN ('live', 'expired', 'revoked', 'released')),
    granted_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL CHECK (renewed_at >= granted_at),
    expires_at BIGINT NOT NULL CHECK (expires_at > renewed_at),
    ended_at BIGINT,
    counts BIGINT NOT NULL CHECK (counts IN (0, 1))
);
CREATE UNIQUE INDEX lease_live ON lease (person_id, workstation_id) WHERE state = 'live';
CREATE INDEX lease_person ON lease (person_id, renewed_at);
CREATE INDEX lease_workstation ON lease (workstation_id);
CREATE INDEX lease_end ON lease (expires_at) WHERE state = 'live';
CREATE INDEX lease_old ON lease (expires_at) WHERE state <> 'live';
CREATE INDEX lease_ended ON lease (expires_at, id) WHERE ended_at IS NOT NULL;

CREATE TABLE session (
    hash TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    person_id TEXT NOT NULL REFERENCES person (id),
    workstation_id TEXT NOT NULL REFERENCES workstation (id),
    source TEXT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX session_person ON session (person_id, created_at);
CREATE INDEX session_end ON session (ends_at);
CREATE INDEX session_seen ON session (last_seen_at);

CREATE TABLE launch (
    hash TEXT NOT NULL PRIMARY KEY,
    session_hash TEXT NOT NULL,
    person_id TEXT NOT NULL,
    workstation_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT
);
CREATE INDEX launch_end ON launch (expires_at);

-- Wrong passwords, one row each; what is under way counts too until it is taken back.
CREATE TABLE wrong_try (
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (key, at, id)
);
CREATE INDEX wrong_try_at ON wrong_try (at);

CREATE TABLE favourite (
    person_id TEXT NOT NULL REFERENCES person (id),
    document_id TEXT NOT NULL,
    PRIMARY KEY (person_id, document_id)
);

CREATE TABLE api_token (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- The audit: each row's hash covers the row and the hash before it.
CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    code TEXT,
    person_id TEXT,
    user_name TEXT,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_person ON audit (person_id, seq);
