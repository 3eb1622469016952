-- What is looked for every minute of a daemon's life is found without a walk through all that is over.
CREATE INDEX session_unended ON session (key) WHERE ended_nanos IS NULL;
CREATE INDEX session_ended ON session (ended_nanos) WHERE ended_nanos IS NOT NULL;
CREATE INDEX destination_open ON destination (id) WHERE settings IS NOT NULL;
