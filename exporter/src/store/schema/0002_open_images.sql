-- Spans that are yet to come, as they will be sent if their collector dies before it sends better ones: `encoded` is
-- an OTLP span that ends as soon as it has begun. Filed under the first span of what they are about; a row goes with the
-- transaction that stores the real span.
CREATE TABLE open_image (
    session INTEGER NOT NULL REFERENCES session (key) ON DELETE CASCADE,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    start_nanos INTEGER NOT NULL,
    resource INTEGER NOT NULL REFERENCES resource (key),
    encoded BLOB NOT NULL,
    PRIMARY KEY (session, trace_id, span_id)
) STRICT, WITHOUT ROWID;

-- So that pruning finds the resources that nothing needs any more.
CREATE INDEX open_image_resource ON open_image (resource);
