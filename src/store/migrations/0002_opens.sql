-- Opens change few pages: what each of them adds stands at the right edge of its index, whoever
-- opens, and what a renewal changes stands in no index at all.

-- Rows of the same thousand stand together, each person's in a row within it.
DROP INDEX audit_person;
CREATE INDEX audit_person ON audit ((seq / 1024), person_id);

-- Found by its person; the few that a person has are looked at one by one.
DROP INDEX lease_person;
CREATE INDEX lease_person ON lease (person_id);

-- Before `settle_at` a live lease cannot have ended; it is moved on when it is looked at.
ALTER TABLE lease ADD COLUMN settle_at BIGINT NOT NULL DEFAULT 0;
UPDATE lease SET settle_at = expires_at;
DROP INDEX lease_end;
CREATE INDEX lease_settle ON lease (settle_at) WHERE state = 'live';

-- Launch tickets in the order in which they were issued; those of an earlier program are over.
DROP TABLE launch;
CREATE TABLE launch (
    id TEXT NOT NULL PRIMARY KEY,
    session_hash TEXT NOT NULL,
    person_id TEXT NOT NULL,
    workstation_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT
);
