-- In front of an estate: where a launch leads to on its web server, from which address and for which
-- session it was opened. The ticket itself is a row of launch with the same id.
CREATE TABLE estate_launch (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    client TEXT NOT NULL CHECK (client IN ('desktop', 'plugin', 'ajax', 'download')),
    path TEXT NOT NULL,
    address TEXT NOT NULL,
    opened_at BIGINT NOT NULL
);
CREATE INDEX estate_launch_session ON estate_launch (session_id, document_id);
CREATE INDEX estate_launch_address ON estate_launch (address, opened_at);

-- Pages of the web server share the gateway's origin. A session that has used one may not administer,
-- and one that was begun for administering in its place may not use one.
ALTER TABLE session ADD COLUMN side TEXT NOT NULL DEFAULT 'undecided';
