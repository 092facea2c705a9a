-- One row for each worker deployment, with its versions. All of them are kept in memory; the row is read when the file is opened.
CREATE TABLE deployments (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    data      BLOB NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- One row for each run of an activity that stands alone. Keys are of one sequence with those of `executions`. The input is apart
-- from the rest, which changes with every attempt.
CREATE TABLE activity_executions (
    key         INTEGER PRIMARY KEY,
    namespace   TEXT NOT NULL,
    activity_id TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    close_time  INTEGER,              -- NULL: it is open
    data        BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX activity_executions_by_run ON activity_executions (namespace, activity_id, run_id);
CREATE INDEX activity_executions_by_key ON activity_executions (namespace, key);
CREATE INDEX activity_executions_by_close ON activity_executions (namespace, close_time) WHERE close_time IS NOT NULL;
CREATE INDEX activity_executions_open ON activity_executions (key) WHERE close_time IS NULL;

CREATE TABLE activity_inputs (
    key   INTEGER PRIMARY KEY,
    input BLOB NOT NULL
) STRICT;
