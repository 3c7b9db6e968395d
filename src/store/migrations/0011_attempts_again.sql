-- Whether the provider was asked for a fresh proof of who somebody is: one that does not say when
-- they proved it counts as one then alone.
ALTER TABLE attempt ADD COLUMN again BIGINT NOT NULL DEFAULT 0 CHECK (again IN (0, 1));
