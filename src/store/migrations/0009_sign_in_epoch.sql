-- How often everything that goes on in a person's name was ended: a sign-in that was proved before
-- the last time comes to no session.
ALTER TABLE person ADD COLUMN sign_in_epoch BIGINT NOT NULL DEFAULT 0;
