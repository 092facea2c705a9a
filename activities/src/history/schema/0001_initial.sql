-- Times are milliseconds since the epoch, UTC. docs/HISTORY.md describes every table and column.

CREATE TABLE services (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    first_seen    INTEGER NOT NULL,
    -- What was last told of it, and since when: see health_events.
    availability  TEXT NOT NULL,
    condition     TEXT NOT NULL,
    since         INTEGER NOT NULL
);

-- One row for each life of dixmgr. What happened between `alive_at` of one and `started_at` of the next, nobody saw.
CREATE TABLE sessions (
    id          INTEGER PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    alive_at    INTEGER NOT NULL,
    ended_at    INTEGER,
    version     TEXT NOT NULL
);

-- Every change of what a service was seen to be.
CREATE TABLE health_events (
    id            INTEGER PRIMARY KEY,
    service_id    INTEGER NOT NULL REFERENCES services (id),
    at            INTEGER NOT NULL,
    availability  TEXT NOT NULL,
    condition     TEXT NOT NULL,
    phase         TEXT NOT NULL,
    result        TEXT NOT NULL,
    invocation    TEXT NOT NULL,
    detail        TEXT NOT NULL
);
CREATE INDEX health_events_by_service ON health_events (service_id, at);
CREATE INDEX health_events_by_time ON health_events (at);

-- Time in which a service was down, from one second to the next in which it was up.
CREATE TABLE incidents (
    id          INTEGER PRIMARY KEY,
    service_id  INTEGER NOT NULL REFERENCES services (id),
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    cause       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    -- Part of it in which dixmgr itself was away.
    unknown_ms  INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX incidents_by_service ON incidents (service_id, started_at);
CREATE INDEX incidents_open ON incidents (service_id) WHERE ended_at IS NULL;
CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;

-- What dixmgr did, or in a dry run would have done.
CREATE TABLE actions (
    id          INTEGER PRIMARY KEY,
    service_id  INTEGER NOT NULL REFERENCES services (id),
    at          INTEGER NOT NULL,
    verb        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX actions_by_service ON actions (service_id, at);
CREATE INDEX actions_by_time ON actions (at);

CREATE TABLE alerts (
    id           INTEGER PRIMARY KEY,
    service_id   INTEGER NOT NULL REFERENCES services (id),
    fingerprint  TEXT NOT NULL,
    kind         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    fired_at     INTEGER NOT NULL,
    resolved_at  INTEGER
);
CREATE INDEX alerts_by_service ON alerts (service_id, fired_at);
CREATE INDEX alerts_open ON alerts (fingerprint) WHERE resolved_at IS NULL;

-- Steady looks, by minute, hour and day. The time of a period that is neither up nor down was not seen.
-- Minutes are read by time (the page's curves) and thrown away soon: they lie in the order of their time.
CREATE TABLE minutes (
    start         INTEGER NOT NULL,
    service_id    INTEGER NOT NULL REFERENCES services (id),
    up_ms         INTEGER NOT NULL,
    down_ms       INTEGER NOT NULL,
    samples       INTEGER NOT NULL,
    cpu_avg       REAL,
    cpu_max       REAL,
    memory_avg    REAL,
    memory_max    REAL,
    answers       INTEGER NOT NULL,
    response_avg  REAL,
    response_max  REAL,
    PRIMARY KEY (start, service_id)
) WITHOUT ROWID;

CREATE TABLE hours (
    service_id    INTEGER NOT NULL REFERENCES services (id),
    start         INTEGER NOT NULL,
    up_ms         INTEGER NOT NULL,
    down_ms       INTEGER NOT NULL,
    samples       INTEGER NOT NULL,
    cpu_avg       REAL,
    cpu_max       REAL,
    memory_avg    REAL,
    memory_max    REAL,
    answers       INTEGER NOT NULL,
    response_avg  REAL,
    response_max  REAL,
    PRIMARY KEY (service_id, start)
) WITHOUT ROWID;

CREATE TABLE days (
    service_id    INTEGER NOT NULL REFERENCES services (id),
    start         INTEGER NOT NULL,
    up_ms         INTEGER NOT NULL,
    down_ms       INTEGER NOT NULL,
    samples       INTEGER NOT NULL,
    cpu_avg       REAL,
    cpu_max       REAL,
    memory_avg    REAL,
    memory_max    REAL,
    answers       INTEGER NOT NULL,
    response_avg  REAL,
    response_max  REAL,
    PRIMARY KEY (service_id, start)
) WITHOUT ROWID;

-- How far the roll-ups have come: everything before is in them.
CREATE TABLE progress (
    name   TEXT PRIMARY KEY,
    until  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO progress (name, until) VALUES ('minutes', 0), ('hours', 0), ('days', 0);

-- For people's own SQL.
CREATE VIEW uptime_by_day AS
SELECT s.name AS service,
       date(d.start / 1000, 'unixepoch') AS day,
       d.up_ms / 1000.0 AS up_seconds,
       d.down_ms / 1000.0 AS down_seconds,
       max(0, 86400 - (d.up_ms + d.down_ms) / 1000.0) AS unknown_seconds,
       CASE WHEN d.up_ms + d.down_ms > 0 THEN 100.0 * d.up_ms / (d.up_ms + d.down_ms) END AS percent
FROM days d JOIN services s ON s.id = d.service_id;
