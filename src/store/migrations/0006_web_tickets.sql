-- Web tickets, by hash; groups are lines, or nothing where none were sent with the ticket.
CREATE TABLE web_ticket (
    hash TEXT NOT NULL PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    user_groups TEXT,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT
);
CREATE INDEX web_ticket_end ON web_ticket (expires_at);

-- A session that a ticket opened, and the groups that came with it.
ALTER TABLE session ADD COLUMN by_ticket BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN ticket_groups TEXT DEFAULT NULL;

-- How old clients have their list of documents searched, sorted and paged, as JSON.
ALTER TABLE session ADD COLUMN list_view TEXT DEFAULT NULL;
