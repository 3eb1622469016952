-- The user whom a session belongs to, and who may ask the daemon about it. NULL: root alone, as of all sessions that were begun
-- before owners were written down.
ALTER TABLE session ADD COLUMN owner INTEGER;

CREATE INDEX session_owner ON session (owner) WHERE owner IS NOT NULL;
