-- By which other names people signed in on a workstation: a directory finds one person by many, and
-- each has a limit of its own for wrong passwords, which does not hold where its owner signed in.
CREATE TABLE workstation_name (
    workstation_id TEXT NOT NULL REFERENCES workstation (id),
    name TEXT NOT NULL,
    last_sign_in_at BIGINT NOT NULL,
    PRIMARY KEY (workstation_id, name)
);
CREATE INDEX workstation_name_age ON workstation_name (last_sign_in_at);

-- Sign-ins that wait for a second step do not know it yet, nor since when their provider was asked.
DELETE FROM challenge WHERE purpose = 'sign-in';
