-- What a task's life in full needs: lanes of group keys and labels, limits of queues, holds, the audit log.

ALTER TABLE tasks ADD COLUMN attributes TEXT;
ALTER TABLE tasks ADD COLUMN lane TEXT;
ALTER TABLE tasks ADD COLUMN origin_id INTEGER;
ALTER TABLE tasks ADD COLUMN pause TEXT;

-- The line of ready tasks of one name and one lane in one queue. With the state, though it is always 3, lanes are
-- counted in the index alone.
DROP INDEX tasks_ready;
CREATE INDEX tasks_ready ON tasks (namespace, queue, name, lane, priority DESC, run_at, id, state) WHERE state = 3;

-- Also of met dependencies: who runs a task again wants to know what depended on it.
DROP INDEX dependencies_on;
CREATE INDEX dependencies_on ON dependencies (depends_on);

-- What has ended, by who keeps it for how long.
DROP INDEX tasks_ended;
CREATE INDEX tasks_ended ON tasks (namespace, state, end_time) WHERE end_time IS NOT NULL;

ALTER TABLE attempts ADD COLUMN late_heartbeats INTEGER NOT NULL DEFAULT 0;

ALTER TABLE queues ADD COLUMN drops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queues ADD COLUMN limits TEXT;
ALTER TABLE queues ADD COLUMN back_off_until INTEGER;
ALTER TABLE queues ADD COLUMN submitted_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queues ADD COLUMN cancelled_total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queues ADD COLUMN expired_total INTEGER NOT NULL DEFAULT 0;

-- It was told to drain; its state does not say so while it is lost.
ALTER TABLE agents ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
UPDATE agents SET drained = 1 WHERE state = 2;

-- The state of rate limits and back-offs: of a whole queue, or of one group key in it.
CREATE TABLE meters (
  namespace TEXT NOT NULL,
  queue TEXT NOT NULL,
  whole INTEGER NOT NULL,
  group_key TEXT NOT NULL,
  -- The instant at which the bucket is full again: nothing that was taken from it is owed any more.
  full_at INTEGER NOT NULL,
  back_off_until INTEGER NOT NULL,
  -- What full_at lacks to be exact, in parts of a microsecond: as many as the rate has units.
  part INTEGER NOT NULL,
  PRIMARY KEY (namespace, queue, whole, group_key)
) STRICT, WITHOUT ROWID;

-- What attempts saved for the next one; payloads as in inputs.
CREATE TABLE details (
  task_id INTEGER PRIMARY KEY,
  content_type TEXT NOT NULL,
  data BLOB,
  hash BLOB
) STRICT;
CREATE INDEX details_hash ON details (hash) WHERE hash IS NOT NULL;

-- Who holds a unique, debounce or throttle key: kinds 1, 2 and 3.
CREATE TABLE admissions (
  namespace TEXT NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  task_id INTEGER NOT NULL,
  -- Of a throttle: since when this period lasts. Of a debounce: the first submit.
  since INTEGER NOT NULL,
  -- Of a throttle: how many were let through in it.
  passed INTEGER NOT NULL,
  -- Nothing is lost when the row is removed after this instant and its task is gone.
  expire_at INTEGER,
  -- Of a unique key: 1 until its task is started, 2 until it has ended, 3 until expire_at.
  scope INTEGER NOT NULL,
  PRIMARY KEY (namespace, kind, name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX admissions_task ON admissions (task_id);
CREATE INDEX admissions_expire ON admissions (expire_at) WHERE expire_at IS NOT NULL;

-- Unset: the key lasts as long as its task.
ALTER TABLE idempotency_keys ADD COLUMN expire_at INTEGER;
CREATE INDEX idempotency_keys_expire ON idempotency_keys (expire_at) WHERE expire_at IS NOT NULL;

CREATE TABLE holds (
  namespace TEXT NOT NULL,
  kind INTEGER NOT NULL,
  subject TEXT NOT NULL,
  quarantined INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  drops INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (namespace, kind, subject)
) STRICT, WITHOUT ROWID;

-- What is left of the cancels of large trees: the tasks whose children are to be cancelled, or were.
CREATE TABLE cancel_trees (
  root_id INTEGER NOT NULL,
  task_id INTEGER NOT NULL,
  namespace TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  after INTEGER NOT NULL,
  done INTEGER NOT NULL,
  PRIMARY KEY (root_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cancel_trees_left ON cancel_trees (root_id, task_id) WHERE done = 0;

CREATE TABLE namespaces (
  name TEXT PRIMARY KEY,
  settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  namespace TEXT NOT NULL,
  id INTEGER NOT NULL,
  time INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  target TEXT NOT NULL,
  filter TEXT NOT NULL,
  matched INTEGER NOT NULL,
  done INTEGER NOT NULL,
  PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_time ON audit (time);

-- What was logged before has rows of another shape, so watches of it begin anew. The newest entry stays, empty:
-- revisions go on from it.
DELETE FROM changes WHERE last_revision < (SELECT max(last_revision) FROM changes);
UPDATE changes SET first_revision = last_revision + 1, data = x'90';
