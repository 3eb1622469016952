-- Redacted bytes that spans moved, each once. `hash` is the spans' `agentsight.content.hash`; `packed` is zstd with a
-- checksum, and makes so many `bytes`.
CREATE TABLE blob (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    bytes INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;

-- Which span moved which bytes. `layout` is `ContentLayout` as JSON: where they stood, and what is missing or redacted.
CREATE TABLE content (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES session (key) ON DELETE CASCADE,
    trace_id BLOB NOT NULL CHECK (length(trace_id) = 16),
    span_id BLOB NOT NULL CHECK (length(span_id) = 8),
    blob INTEGER NOT NULL REFERENCES blob (key),
    layout TEXT NOT NULL,
    UNIQUE (trace_id, span_id)
) STRICT;

-- So that a session that goes takes its contents along, and a blob goes with the last that has it.
CREATE INDEX content_of_session ON content (session);
CREATE INDEX content_blob ON content (blob);

-- Who read which contents, by which door: one row for each, so that nobody makes it long by asking often.
CREATE TABLE content_reading (
    content INTEGER NOT NULL REFERENCES content (seq) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    door TEXT NOT NULL CHECK (door IN ('command', 'daemon', 'http')),
    first_nanos INTEGER NOT NULL,
    last_nanos INTEGER NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (content, user, door)
) STRICT, WITHOUT ROWID;

-- What contents take, bytes: they have a limit of their own, and what is left of the database is the spans'. A row beside its
-- bytes takes about 100, with its indexes 200.
CREATE TABLE content_size (bytes INTEGER NOT NULL) STRICT;
INSERT INTO content_size VALUES (0);

CREATE TRIGGER blob_came AFTER INSERT ON blob BEGIN
    UPDATE content_size SET bytes = bytes + length(NEW.packed) + 100;
END;
CREATE TRIGGER blob_went AFTER DELETE ON blob BEGIN
    UPDATE content_size SET bytes = bytes - length(OLD.packed) - 100;
END;
CREATE TRIGGER content_came AFTER INSERT ON content BEGIN
    UPDATE content_size SET bytes = bytes + length(NEW.layout) + 200;
END;
CREATE TRIGGER content_went AFTER DELETE ON content BEGIN
    UPDATE content_size SET bytes = bytes - length(OLD.layout) - 200;
    DELETE FROM blob WHERE key = OLD.blob AND NOT EXISTS (SELECT 1 FROM content WHERE blob = OLD.blob);
END;
