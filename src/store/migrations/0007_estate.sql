-- In front of an estate: what its management service told last. The server owns all of it; these rows
-- are a picture, replaced as a whole, and tell when it was made.
CREATE TABLE estate (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    server TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    -- None where no licence is loaded there; empty where the server keeps its text to itself.
    lef TEXT,
    named_cals BIGINT NOT NULL,
    other_cals BIGINT NOT NULL,
    allow_license_lease BIGINT NOT NULL CHECK (allow_license_lease IN (0, 1)),
    allow_dynamic_assignment BIGINT NOT NULL CHECK (allow_dynamic_assignment IN (0, 1)),
    -- Why nothing can be predicted there, if nothing can.
    unpredicted TEXT CHECK (unpredicted IN ('signed_key', 'machine_names'))
);

-- Named CALs there. user_name is the name as we fold it, without the prefix.
CREATE TABLE estate_cal (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('assigned', 'quarantined')),
    last_used_at BIGINT,
    quarantined_until BIGINT
);
CREATE INDEX estate_cal_user ON estate_cal (user_name, id);

-- Leases there; a machine is an opaque text.
CREATE TABLE estate_lease (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    machine TEXT NOT NULL,
    leased_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX estate_lease_user ON estate_lease (user_name, id);

-- What became of the lease after a launch, for each person and workstation the last one: the lease
-- was seen at seen_at, or not until ended_at. machine is what the server calls that workstation, by
-- the last lease that was seen; it outlives launches after which none was.
CREATE TABLE estate_watch (
    person_id TEXT NOT NULL,
    workstation_id TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    ended_at BIGINT,
    seen_at BIGINT,
    machine TEXT,
    PRIMARY KEY (person_id, workstation_id)
);
