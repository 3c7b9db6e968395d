-- Whether somebody ever had an identity: their name is nobody else's any more, also where the last
-- identity was taken from them. A name that was only named (for a CAL) is free for its first owner.
ALTER TABLE person ADD COLUMN identified BIGINT NOT NULL DEFAULT 0 CHECK (identified IN (0, 1));
UPDATE person SET identified = 1
    WHERE EXISTS (SELECT 1 FROM identity WHERE identity.person_id = person.id)
    OR EXISTS (
        SELECT 1 FROM audit WHERE audit.person_id = person.id
        AND audit.event = 'identity_unlinked' AND audit.code IS NULL
    );
