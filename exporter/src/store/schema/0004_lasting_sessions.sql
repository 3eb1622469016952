-- Whether the next daemon may go on with a session where its collector died: 1 of a daemon's, 0 of a single run's. While
-- a process of such a session lives, nobody but a daemon ends it.
ALTER TABLE session ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0 CHECK (lasting IN (0, 1));
