-- What questions ask about a span, beside `signal` and narrow: a scan of a million spans reads tens of megabytes, not
-- gigabytes. The texts are what `facts.rs` reads off a span's attributes.
CREATE TABLE span (
    -- Of `signal`. Whoever deletes there deletes here: a foreign key would be looked up for each span that is stored.
    seq INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    span_id BLOB NOT NULL,
    start_nanos INTEGER NOT NULL,
    end_nanos INTEGER NOT NULL,
    object TEXT,
    action TEXT,
    pid INTEGER,
    executable TEXT,
    path TEXT,
    host TEXT,
    peer TEXT,
    port INTEGER,
    bytes INTEGER,
    failed INTEGER NOT NULL,
    lossy INTEGER NOT NULL,
    -- About something else than a file or a process.
    rare INTEGER NOT NULL
) STRICT;

-- Each ends with the start, so that matches come in order of time.
CREATE INDEX span_start ON span (start_nanos);
CREATE INDEX span_pid ON span (pid, start_nanos);
-- Nine of ten spans are about files and processes: those are met soon on the way through time.
CREATE INDEX span_kind ON span (object, action, start_nanos) WHERE rare = 1;
CREATE INDEX span_executable ON span (executable, start_nanos);
CREATE INDEX span_path ON span (path, start_nanos) WHERE path IS NOT NULL;
CREATE INDEX span_host ON span (host, start_nanos) WHERE host IS NOT NULL;
CREATE INDEX span_peer ON span (peer, start_nanos) WHERE peer IS NOT NULL;
CREATE INDEX span_failed ON span (start_nanos) WHERE failed = 1;
CREATE INDEX span_lossy ON span (session) WHERE lossy = 1;

-- From a span to what it started.
CREATE INDEX signal_parent ON signal (trace_id, parent_id) WHERE parent_id IS NOT NULL;

-- From a cause to its effects; the way back is in the effect itself. Whoever deletes a span deletes its rows here, which it
-- knows from the span: an index for that would cost every link that is stored.
CREATE TABLE link (
    cause_trace BLOB NOT NULL,
    cause_span BLOB NOT NULL,
    effect INTEGER NOT NULL,
    PRIMARY KEY (cause_trace, cause_span, effect)
) STRICT, WITHOUT ROWID;

-- Which operations each service has: small, where a look through all spans would be long.
CREATE TABLE operation (
    resource INTEGER NOT NULL REFERENCES resource (key) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    PRIMARY KEY (resource, name, kind)
) STRICT, WITHOUT ROWID;
