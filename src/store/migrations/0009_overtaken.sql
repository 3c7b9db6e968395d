-- How often everything that goes on in a person's name was ended: a sign-in that was proved before
-- the last time comes to no session.
ALTER TABLE person ADD COLUMN sign_in_epoch BIGINT NOT NULL DEFAULT 0;

-- What providers have ended lately, by subject and session there as far as each was named: a sign-in
-- whose answer was on its way then comes to no session either.
CREATE TABLE provider_logout (
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    sid TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX provider_logout_source ON provider_logout (source, at);
