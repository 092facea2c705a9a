-- Times are milliseconds since the epoch, UTC. docs/HISTORY.md describes every table and column.
-- Names are compared byte by byte, as SQLite does, whatever the database's own order.

CREATE TABLE dixmgr.schema_version (version bigint PRIMARY KEY);

CREATE TABLE dixmgr.services (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Whose dixmgr watches it. All other rows belong to a host by their service.
    host          text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    first_seen    bigint NOT NULL,
    -- What was last told of it, and since when: see health_events.
    availability  text NOT NULL,
    condition     text NOT NULL,
    since         bigint NOT NULL,
    UNIQUE (host, name)
);

-- One row for each life of a dixmgr. What happened between `alive_at` of one and `started_at` of the next of its host, nobody saw.
CREATE TABLE dixmgr.sessions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host        text COLLATE "C" NOT NULL,
    started_at  bigint NOT NULL,
    alive_at    bigint NOT NULL,
    ended_at    bigint,
    version     text NOT NULL,
    -- Batches that were committed: after a lost connection it tells whether the last one was.
    batch       bigint NOT NULL DEFAULT 0
);
CREATE INDEX sessions_by_host ON dixmgr.sessions (host, id);

-- Every change of what a service was seen to be.
CREATE TABLE dixmgr.health_events (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id    bigint NOT NULL REFERENCES dixmgr.services (id),
    at            bigint NOT NULL,
    availability  text NOT NULL,
    condition     text NOT NULL,
    phase         text NOT NULL,
    result        text NOT NULL,
    invocation    text NOT NULL,
    detail        text NOT NULL
);
CREATE INDEX health_events_by_service ON dixmgr.health_events (service_id, at);

-- Time in which a service was down, from one second to the next in which it was up.
CREATE TABLE dixmgr.incidents (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id  bigint NOT NULL REFERENCES dixmgr.services (id),
    started_at  bigint NOT NULL,
    ended_at    bigint,
    cause       text NOT NULL,
    detail      text NOT NULL,
    -- Part of it in which dixmgr itself was away.
    unknown_ms  bigint NOT NULL DEFAULT 0
);
CREATE INDEX incidents_by_service ON dixmgr.incidents (service_id, started_at);
CREATE INDEX incidents_open ON dixmgr.incidents (service_id) WHERE ended_at IS NULL;

-- What dixmgr did, or in a dry run would have done.
CREATE TABLE dixmgr.actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id  bigint NOT NULL REFERENCES dixmgr.services (id),
    at          bigint NOT NULL,
    verb        text NOT NULL,
    reason      text NOT NULL,
    outcome     text NOT NULL,
    detail      text NOT NULL
);
CREATE INDEX actions_by_service ON dixmgr.actions (service_id, at);

CREATE TABLE dixmgr.alerts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id   bigint NOT NULL REFERENCES dixmgr.services (id),
    fingerprint  text NOT NULL,
    kind         text NOT NULL,
    severity     text NOT NULL,
    fired_at     bigint NOT NULL,
    resolved_at  bigint
);
CREATE INDEX alerts_by_service ON dixmgr.alerts (service_id, fired_at);
CREATE INDEX alerts_open ON dixmgr.alerts (fingerprint) WHERE resolved_at IS NULL;

-- Steady looks, by minute, hour and day. The time of a period that is neither up nor down was not seen.
-- Read host by host, and so service by service.
CREATE TABLE dixmgr.minutes (
    service_id    bigint NOT NULL REFERENCES dixmgr.services (id),
    start         bigint NOT NULL,
    up_ms         bigint NOT NULL,
    down_ms       bigint NOT NULL,
    samples       bigint NOT NULL,
    cpu_avg       double precision,
    cpu_max       double precision,
    memory_avg    double precision,
    memory_max    double precision,
    answers       bigint NOT NULL,
    response_avg  double precision,
    response_max  double precision,
    PRIMARY KEY (service_id, start)
);
CREATE TABLE dixmgr.hours (LIKE dixmgr.minutes INCLUDING ALL, FOREIGN KEY (service_id) REFERENCES dixmgr.services (id));
CREATE TABLE dixmgr.days (LIKE dixmgr.minutes INCLUDING ALL, FOREIGN KEY (service_id) REFERENCES dixmgr.services (id));

-- How far the roll-ups of a host have come: everything before is in them.
CREATE TABLE dixmgr.progress (
    host   text COLLATE "C" NOT NULL,
    name   text NOT NULL,
    until  bigint NOT NULL,
    PRIMARY KEY (host, name)
);

-- For people's own SQL.
CREATE VIEW dixmgr.uptime_by_day AS
SELECT s.host AS host,
       s.name AS service,
       to_char(to_timestamp(d.start / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
       d.up_ms / 1000.0::double precision AS up_seconds,
       d.down_ms / 1000.0::double precision AS down_seconds,
       greatest(0, 86400 - (d.up_ms + d.down_ms) / 1000.0::double precision) AS unknown_seconds,
       CASE WHEN d.up_ms + d.down_ms > 0 THEN 100.0::double precision * d.up_ms / (d.up_ms + d.down_ms) END AS percent
FROM dixmgr.days d JOIN dixmgr.services s ON s.id = d.service_id;
