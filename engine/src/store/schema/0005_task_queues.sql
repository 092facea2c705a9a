-- One row for each task queue of which an operator has set something. All of them are kept in memory; the row is read when the
-- file is opened. Kind 0 holds workflow tasks, kind 1 activity tasks.
CREATE TABLE task_queues (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    kind      INTEGER NOT NULL,
    data      BLOB NOT NULL,
    PRIMARY KEY (namespace, name, kind)
) STRICT, WITHOUT ROWID;
