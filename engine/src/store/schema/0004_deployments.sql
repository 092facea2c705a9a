-- One row for each worker deployment, with its versions. All of them are kept in memory; the row is read when the file is opened.
CREATE TABLE deployments (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    data      BLOB NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;
