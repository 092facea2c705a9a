-- One row for each batch operation, under way or ended. All of them are kept in memory; the row is read when the file is opened.
CREATE TABLE batch_jobs (
    namespace TEXT NOT NULL,
    job_id    TEXT NOT NULL,
    data      BLOB NOT NULL,
    PRIMARY KEY (namespace, job_id)
) STRICT, WITHOUT ROWID;
