-- A recording session: who traced what, and since when. `header` is `Session` as JSON.
-- AUTOINCREMENT here and below: a number is never used again, so a lock or a cursor cannot mean another row.
CREATE TABLE session (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    header TEXT NOT NULL,
    started_nanos INTEGER NOT NULL,
    ended_nanos INTEGER
) STRICT;

-- Each resource once, as an encoded `opentelemetry.proto.resource.v1.Resource`.
CREATE TABLE resource (
    key INTEGER PRIMARY KEY,
    encoded BLOB NOT NULL UNIQUE
) STRICT;

-- Spans and log records in the order in which they were stored; `encoded` is the OTLP message that is sent.
CREATE TABLE signal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES session (key) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('span', 'log')),
    trace_id BLOB,
    span_id BLOB,
    parent_id BLOB,
    start_nanos INTEGER NOT NULL,
    end_nanos INTEGER NOT NULL,
    name TEXT NOT NULL,
    resource INTEGER NOT NULL REFERENCES resource (key),
    encoded BLOB NOT NULL
) STRICT;

-- Two contents never go out under one id, not even when a collector repeats itself after a crash.
CREATE UNIQUE INDEX signal_span_id ON signal (trace_id, span_id) WHERE kind = 'span';
-- What a cursor walks along.
CREATE INDEX signal_of_session ON signal (session, kind, seq);
-- So that pruning finds the resources that nothing needs any more.
CREATE INDEX signal_resource ON signal (resource);

-- Where one kind of signal of one session goes. `settings` may hold secrets: it becomes NULL when all is delivered.
CREATE TABLE destination (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES session (key) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('span', 'log')),
    settings TEXT,
    cursor INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX destination_of_session ON destination (session);
