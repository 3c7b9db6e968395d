-- Whether somebody ever had an identity: their name is nobody else's any more, also where the last
-- identity was taken from them. A name that was only named (for a CAL) is free for its first owner.
ALTER TABLE person ADD COLUMN identified BIGINT NOT NULL DEFAULT 0 CHECK (identified IN (0, 1));
UPDATE person SET identified = 1
    WHERE EXISTS (SELECT 1 FROM identity WHERE identity.person_id = person.id)
    OR EXISTS (
        SELECT 1 FROM audit WHERE audit.person_id = person.id
        AND audit.event = 'identity_unlinked' AND audit.code IS NULL
    );

-- The source whose mapping gave somebody their groups and CAL policy, and the one whose mapping gave
-- their roles: with its identity they go. Absent where an administrator gave them, or nobody.
ALTER TABLE person ADD COLUMN groups_from TEXT DEFAULT NULL;
ALTER TABLE person ADD COLUMN roles_from TEXT DEFAULT NULL;
UPDATE person SET groups_from = (
    SELECT source FROM identity
    WHERE identity.person_id = person.id AND identity.last_sign_in_at IS NOT NULL
    ORDER BY last_sign_in_at DESC, source, subject LIMIT 1
);
UPDATE person SET roles_from = groups_from
    WHERE NOT EXISTS (SELECT 1 FROM password WHERE password.person_id = person.id);
