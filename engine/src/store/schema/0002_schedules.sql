-- One row for each schedule. All of them are kept in memory; the row is read when the file is opened.
CREATE TABLE schedules (
    namespace   TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    data        BLOB NOT NULL,
    PRIMARY KEY (namespace, schedule_id)
) STRICT, WITHOUT ROWID;
