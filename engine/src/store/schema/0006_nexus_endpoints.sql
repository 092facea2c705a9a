-- One row for each Nexus endpoint. All of them are kept in memory; the row is read when the file is opened.
CREATE TABLE nexus_endpoints (
    id   TEXT NOT NULL PRIMARY KEY,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
