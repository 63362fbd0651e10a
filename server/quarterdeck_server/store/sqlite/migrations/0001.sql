-- The first schema. Instants are microseconds since the epoch; the columns of each resource stand in the order of the
-- fields of its row in the engine.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
  id INTEGER PRIMARY KEY,
  namespace TEXT NOT NULL,
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  policy TEXT,
  labels TEXT,
  parent_id INTEGER,
  schedule_id TEXT,
  schedule_time INTEGER,
  idempotency_key TEXT,
  pending INTEGER NOT NULL,
  expire_at INTEGER,
  task_deadline INTEGER,
  agent_id TEXT,
  lease_token INTEGER,
  claim_time INTEGER,
  attempt_deadline INTEGER,
  end_time INTEGER,
  progress TEXT,
  cancel TEXT,
  reason TEXT,
  error_type TEXT,
  error_message TEXT,
  late_reports INTEGER NOT NULL,
  wake_at INTEGER,
  revision INTEGER NOT NULL
) STRICT;

-- The line of ready tasks of one name in one queue.
CREATE INDEX tasks_ready ON tasks (namespace, queue, name, priority DESC, run_at, id) WHERE state = 3;
-- Tasks in the states that few tasks are in; 3 has the index above, 6 is nearly all and is met by scanning.
CREATE INDEX tasks_state ON tasks (state, id) WHERE state NOT IN (3, 6);
CREATE INDEX tasks_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (state, end_time) WHERE end_time IS NOT NULL;
CREATE INDEX tasks_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL;
-- One task for one instant of one schedule, whatever happens.
CREATE UNIQUE INDEX tasks_instant ON tasks (namespace, schedule_id, schedule_time) WHERE schedule_id IS NOT NULL;

CREATE TABLE dependencies (
  task_id INTEGER NOT NULL,
  depends_on INTEGER NOT NULL,
  -- It has ended as it must, once; what becomes of it later means nothing to the task.
  met INTEGER NOT NULL,
  PRIMARY KEY (task_id, depends_on)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_on ON dependencies (depends_on) WHERE met = 0;

-- Payloads: small ones inline, large ones once in blobs by their SHA-256.
CREATE TABLE inputs (
  task_id INTEGER PRIMARY KEY,
  content_type TEXT NOT NULL,
  data BLOB,
  hash BLOB
) STRICT;
CREATE INDEX inputs_hash ON inputs (hash) WHERE hash IS NOT NULL;

CREATE TABLE results (
  task_id INTEGER PRIMARY KEY,
  content_type TEXT NOT NULL,
  data BLOB,
  hash BLOB
) STRICT;
CREATE INDEX results_hash ON results (hash) WHERE hash IS NOT NULL;

CREATE TABLE blobs (
  hash BLOB PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE attempts (
  task_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  agent_id TEXT NOT NULL,
  lease_token INTEGER NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  error_type TEXT,
  error_message TEXT,
  error_stack TEXT,
  late_reports INTEGER NOT NULL,
  PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
  task_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  time INTEGER NOT NULL,
  level TEXT NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (task_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_ends (
  task_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
  namespace TEXT NOT NULL,
  key TEXT NOT NULL,
  task_id INTEGER NOT NULL,
  content_hash BLOB NOT NULL,
  PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_task ON idempotency_keys (task_id);

CREATE TABLE requests (
  namespace TEXT NOT NULL,
  method TEXT NOT NULL,
  request_id TEXT NOT NULL,
  body_hash BLOB NOT NULL,
  reply BLOB NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (namespace, method, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_time ON requests (time);

CREATE TABLE queues (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  paused INTEGER NOT NULL,
  pause_note TEXT,
  succeeded_total INTEGER NOT NULL,
  failed_total INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_counts (
  namespace TEXT NOT NULL,
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  state INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (namespace, queue, name, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  namespace TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  hostname TEXT NOT NULL,
  pid INTEGER NOT NULL,
  slots INTEGER NOT NULL,
  labels TEXT,
  queues TEXT NOT NULL,
  instance_id TEXT,
  pool TEXT,
  state INTEGER NOT NULL,
  running INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  last_contact_time INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_newest ON agents (namespace, create_time DESC, id);
CREATE INDEX agents_gone ON agents (last_contact_time) WHERE state = 4;

CREATE TABLE schedules (
  namespace TEXT NOT NULL,
  id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  spec TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  start_at INTEGER,
  end_at INTEGER,
  queue TEXT NOT NULL,
  task_name TEXT NOT NULL,
  task_spec TEXT NOT NULL,
  input_type TEXT NOT NULL,
  input BLOB NOT NULL,
  paused INTEGER NOT NULL,
  pause_note TEXT,
  next_at INTEGER,
  last_at INTEGER,
  last_task_id INTEGER,
  fired INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE instances (
  id TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  pool TEXT NOT NULL,
  state INTEGER NOT NULL,
  agent_id TEXT,
  pid INTEGER,
  process_start INTEGER,
  create_time INTEGER NOT NULL,
  end_time INTEGER,
  detail TEXT,
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_live ON instances (create_time) WHERE state <> 4;
CREATE INDEX instances_ended ON instances (end_time) WHERE state = 4;

CREATE TABLE pools (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  queue TEXT NOT NULL,
  min INTEGER NOT NULL,
  max INTEGER NOT NULL,
  slots INTEGER NOT NULL,
  idle_timeout INTEGER NOT NULL,
  launcher TEXT NOT NULL,
  instances INTEGER NOT NULL,
  detail TEXT,
  revision INTEGER NOT NULL,
  PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- The change log: one row for the changes of one group, or of a part of a large one.
CREATE TABLE changes (
  last_revision INTEGER PRIMARY KEY,
  first_revision INTEGER NOT NULL,
  time INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;
