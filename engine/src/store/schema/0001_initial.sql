-- Instants are nanoseconds since the Unix epoch. Blobs belong to the layers above the store.

CREATE TABLE namespaces (
    name TEXT NOT NULL PRIMARY KEY,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each run: what listing shows and filters by. Rows stay small, so that a listing reads few pages.
CREATE TABLE executions (
    key                       INTEGER PRIMARY KEY,
    namespace                 TEXT NOT NULL,
    workflow_id               TEXT NOT NULL,
    run_id                    TEXT NOT NULL,
    workflow_type             TEXT NOT NULL,
    task_queue                TEXT NOT NULL,
    status                    INTEGER NOT NULL,
    start_time                INTEGER NOT NULL,
    execution_time            INTEGER NOT NULL,
    close_time                INTEGER,              -- NULL: the run is open
    history_length            INTEGER NOT NULL,
    history_size_bytes        INTEGER NOT NULL,
    state_transition_count    INTEGER NOT NULL,
    parent_workflow_id        TEXT,
    parent_run_id             TEXT,
    root_workflow_id          TEXT,
    root_run_id               TEXT,
    memo                      BLOB NOT NULL,
    search_attributes         BLOB NOT NULL,        -- the values; `search_attributes` the table indexes them
    encoded_search_attributes BLOB NOT NULL,
    -- Listing shows open runs first, then the ones that closed last.
    sort_time                 INTEGER NOT NULL
        GENERATED ALWAYS AS (coalesce(close_time, 9223372036854775807)) VIRTUAL
) STRICT;

CREATE UNIQUE INDEX executions_by_run ON executions (namespace, workflow_id, run_id);
CREATE INDEX executions_by_time ON executions (namespace, sort_time, start_time);
CREATE INDEX executions_by_start ON executions (namespace, start_time);
CREATE INDEX executions_by_type ON executions (namespace, workflow_type, sort_time, start_time);
CREATE INDEX executions_by_status ON executions (namespace, status, sort_time, start_time);
CREATE INDEX executions_open ON executions (key) WHERE close_time IS NULL;

-- Mutable state is apart, because it changes with every transition and the rest of the run does not.
CREATE TABLE execution_states (
    key   INTEGER PRIMARY KEY,
    state BLOB NOT NULL
) STRICT;

-- The run that a workflow id alone means.
CREATE TABLE current_executions (
    namespace   TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    key         INTEGER NOT NULL,
    PRIMARY KEY (namespace, workflow_id)
) STRICT, WITHOUT ROWID;

-- What open runs wait for.
CREATE TABLE pending (
    key  INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id   INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (key, kind, id)
) STRICT, WITHOUT ROWID;

-- With a row id, so that events of all runs are appended to the same few pages of a commit.
CREATE TABLE history (
    key            INTEGER NOT NULL,
    first_event_id INTEGER NOT NULL,
    last_event_id  INTEGER NOT NULL,
    events         BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX history_by_run ON history (key, first_event_id);

-- One row for each value of a search attribute, for each keyword of a list, and for each word of a text.
-- `kind` is the number of temporal.api.enums.v1.IndexedValueType.
CREATE TABLE search_attributes (
    key     INTEGER NOT NULL,
    name    TEXT NOT NULL,
    kind    INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    value   ANY NOT NULL,
    PRIMARY KEY (key, name, kind, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX search_attributes_by_value ON search_attributes (name, kind, value);

-- What the query planner is told of a large store, instead of what it would measure: plans are then the same on every
-- machine. Each figure is the number of rows of an index, then how many rows share a value of its first column, of its
-- first two columns, and so on.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('executions', 'executions_by_run', '1000000 500000 2 1'),
    ('executions', 'executions_by_time', '1000000 500000 10 1'),
    ('executions', 'executions_by_start', '1000000 500000 1'),
    ('executions', 'executions_by_type', '1000000 500000 50000 10 1'),
    ('executions', 'executions_by_status', '1000000 500000 100000 10 1'),
    ('executions', 'executions_open', '10000 1'),
    ('history', 'history_by_run', '10000000 10 1'),
    ('search_attributes', 'search_attributes', '3000000 3 1 1 1'),
    ('search_attributes', 'search_attributes_by_value', '3000000 1000000 1000000 100');
