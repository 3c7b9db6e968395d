-- Sign-ins that were begun at a provider and have not come back yet; one row for each, so that a
-- browser may have several. What was used or is too old is kept for a while, to say so.
CREATE TABLE attempt (
    state_hash TEXT NOT NULL PRIMARY KEY,
    browser_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    wanted TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'used', 'restarting', 'restarted')),
    restarts BIGINT NOT NULL CHECK (restarts IN (0, 1)),
    begun_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX attempt_browser ON attempt (browser_hash, begun_at, state_hash);
CREATE INDEX attempt_end ON attempt (expires_at);

-- Logout tokens that counted: each counts once.
CREATE TABLE logout_notice (
    source TEXT NOT NULL,
    notice_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (source, notice_id)
);
CREATE INDEX logout_notice_end ON logout_notice (expires_at);
