-- Named queries. {columns} stands for the columns of the row's NamedTuple, in its order, {sets} for setting them to what
-- would have been inserted; {rows} for as many value lists as the statement is made for. Lists of ids come as one JSON parameter.

-- name: tasks_by_id
SELECT {columns:Task} FROM json_each(?) AS wanted JOIN tasks ON tasks.id = wanted.value

-- name: children
-- The wanted tasks with all below them, nearest first, up to a number; of those that have a parent the rows.
WITH RECURSIVE tree (id) AS (
  SELECT value FROM json_each(?1)
  UNION
  SELECT tasks.id FROM tasks JOIN tree ON tasks.parent_id = tree.id WHERE tasks.parent_id IS NOT NULL
  LIMIT ?2
)
SELECT {columns:Task} FROM tree JOIN tasks ON tasks.id = tree.id WHERE tasks.parent_id IS NOT NULL

-- name: branches_left
SELECT {columns:Branch} FROM cancel_trees WHERE done = 0 ORDER BY root_id, task_id LIMIT ?

-- name: branch_known
SELECT 1 FROM cancel_trees WHERE root_id = ? AND task_id = ?

-- name: children_after
SELECT {columns:Task} FROM tasks
WHERE parent_id = ? AND parent_id IS NOT NULL AND namespace = ? AND id > ? ORDER BY id LIMIT ?

-- name: parents_among
SELECT wanted.value FROM json_each(?) AS wanted
WHERE EXISTS (SELECT 1 FROM tasks WHERE parent_id = wanted.value AND parent_id IS NOT NULL)

-- name: keys
SELECT k.namespace, k.key, k.task_id, k.content_hash, k.expire_at
FROM json_each(?) AS wanted JOIN idempotency_keys AS k
  ON k.namespace = json_extract(wanted.value, '$[0]') AND k.key = json_extract(wanted.value, '$[1]')

-- name: admissions_by_key
SELECT {columns:AdmissionKey}, {columns:Admission} FROM json_each(?) AS wanted JOIN admissions
  ON admissions.namespace = json_extract(wanted.value, '$[0]') AND admissions.kind = json_extract(wanted.value, '$[1]')
  AND admissions.name = json_extract(wanted.value, '$[2]') AND admissions.key = json_extract(wanted.value, '$[3]')

-- name: admissions_by_task
SELECT {columns:AdmissionKey}, {columns:Admission} FROM json_each(?) AS wanted JOIN admissions
  ON admissions.task_id = wanted.value

-- name: unmet_dependencies
SELECT task_id, depends_on FROM json_each(?) AS wanted JOIN dependencies ON task_id = wanted.value AND met = 0

-- name: requests
SELECT r.namespace, r.method, r.request_id, r.body_hash, r.reply
FROM json_each(?) AS wanted JOIN requests AS r
  ON r.namespace = json_extract(wanted.value, '$[0]') AND r.method = json_extract(wanted.value, '$[1]')
  AND r.request_id = json_extract(wanted.value, '$[2]')

-- name: attempts_by_token
SELECT {columns:Attempt} FROM json_each(?) AS wanted JOIN attempts
  ON attempts.task_id = json_extract(wanted.value, '$[0]')
  AND attempts.lease_token = json_extract(wanted.value, '$[1]')

-- name: log_ends
SELECT task_id, attempt, sequence, next_offset
FROM json_each(?) AS wanted JOIN log_ends ON log_ends.task_id = wanted.value

-- name: dependents
SELECT task_id, depends_on FROM json_each(?) AS wanted JOIN dependencies ON depends_on = wanted.value AND met = 0
LIMIT ?

-- name: dependents_after
SELECT task_id, depends_on FROM dependencies WHERE depends_on = ? AND task_id > ? AND met = 0 ORDER BY task_id LIMIT ?

-- name: dependents_tree
-- Of tasks that are run again, past the links of the chains of unique keys: these only waited for their turn.
WITH RECURSIVE tree (id) AS (
  SELECT value FROM json_each(?1)
  UNION
  SELECT d.task_id FROM tree JOIN dependencies AS d ON d.depends_on = tree.id JOIN tasks ON tasks.id = d.task_id
  WHERE ifnull(json_extract(tasks.policy, '$.serial'), 0) = 0
)
SELECT id FROM tree LIMIT ?2 + json_array_length(?1)

-- name: count_dependencies
SELECT count(*) FROM json_each(?) AS wanted JOIN dependencies ON task_id = wanted.value

-- name: dependencies_of
SELECT task_id, depends_on, met FROM json_each(?) AS wanted JOIN dependencies ON task_id = wanted.value

-- name: queues_by_key
SELECT {columns:Queue}
FROM json_each(?) AS wanted JOIN queues
  ON queues.namespace = json_extract(wanted.value, '$[0]') AND queues.name = json_extract(wanted.value, '$[1]')

-- name: counts_by_key
SELECT c.namespace, c.queue, c.name, c.state, c.count
FROM json_each(?) AS wanted JOIN queue_counts AS c
  ON c.namespace = json_extract(wanted.value, '$[0]') AND c.queue = json_extract(wanted.value, '$[1]')

-- name: agents_by_key
SELECT {columns:Agent} FROM json_each(?) AS wanted JOIN agents
  ON agents.namespace = json_extract(wanted.value, '$[0]') AND agents.id = json_extract(wanted.value, '$[1]')

-- name: schedules_by_key
SELECT {columns:Schedule} FROM json_each(?) AS wanted JOIN schedules
  ON schedules.namespace = json_extract(wanted.value, '$[0]') AND schedules.id = json_extract(wanted.value, '$[1]')

-- name: schedules_due
SELECT {columns:Schedule} FROM schedules
WHERE next_at IS NOT NULL AND next_at <= ? ORDER BY next_at LIMIT ?

-- name: schedule_instants
SELECT namespace, schedule_id, schedule_time FROM tasks
WHERE namespace = ? AND schedule_id = ? AND schedule_time >= ?

-- name: instances_by_id
SELECT {columns:Instance} FROM json_each(?) AS wanted JOIN instances ON instances.id = wanted.value

-- name: audit_by_key
SELECT {columns:AuditEntry} FROM json_each(?) AS wanted JOIN audit
  ON audit.namespace = json_extract(wanted.value, '$[0]') AND audit.id = json_extract(wanted.value, '$[1]')

-- name: pools
SELECT {columns:PoolStatus} FROM pools ORDER BY namespace, name

-- name: tasks_due
SELECT {columns:Task} FROM tasks
WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at LIMIT ?

-- name: next_wake
SELECT min(instant) FROM (
  SELECT min(wake_at) AS instant FROM tasks WHERE wake_at IS NOT NULL
  UNION ALL
  SELECT min(next_at) FROM schedules WHERE next_at IS NOT NULL
)

-- name: ready_of_lane
SELECT {columns:Task} FROM tasks
WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane IS ?
ORDER BY priority DESC, run_at, id LIMIT ? OFFSET ?

-- name: ready_of_priority
SELECT {columns:Task} FROM tasks
WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane IS ? AND priority = ?
ORDER BY run_at, id LIMIT ? OFFSET ?

-- name: ready_lanes
-- The counters say where something is ready, so that a start does not read past all tasks without a lane.
SELECT c.namespace, c.queue, c.name, t.lane, count(*) FROM queue_counts AS c CROSS JOIN tasks AS t INDEXED BY tasks_ready
  ON t.namespace = c.namespace AND t.queue = c.queue AND t.name = c.name AND t.state = 3 AND t.lane > ''
WHERE c.state = 3 AND c.count > 0 GROUP BY c.namespace, c.queue, c.name, t.lane

-- name: running_lanes
SELECT namespace, queue, lane, count(*) FROM tasks
WHERE state = 4 AND state NOT IN (3, 6) AND lane IS NOT NULL GROUP BY namespace, queue, lane

-- name: inputs_by_id
SELECT i.task_id, i.content_type, ifnull(i.data, (SELECT b.data FROM blobs AS b WHERE b.hash = i.hash))
FROM json_each(?) AS wanted JOIN inputs AS i ON i.task_id = wanted.value

-- name: results_by_id
SELECT r.task_id, r.content_type, ifnull(r.data, (SELECT b.data FROM blobs AS b WHERE b.hash = r.hash))
FROM json_each(?) AS wanted JOIN results AS r ON r.task_id = wanted.value

-- name: active_of_queue
SELECT id, lane, cancel IS NOT NULL FROM tasks WHERE state = 3 AND namespace = ?1 AND queue = ?2
UNION ALL
SELECT id, lane, cancel IS NOT NULL FROM tasks
WHERE state = 4 AND state NOT IN (3, 6) AND namespace = ?1 AND queue = ?2

-- name: last_change_time
SELECT time FROM changes ORDER BY last_revision DESC LIMIT 1

-- name: resting_queues
SELECT namespace, name FROM queues WHERE back_off_until > ?

-- name: meters
SELECT namespace, queue, whole, group_key, full_at, back_off_until, part FROM meters

-- name: put_meters
INSERT OR REPLACE INTO meters (namespace, queue, whole, group_key, full_at, back_off_until, part) VALUES {rows}

-- name: delete_meter
DELETE FROM meters WHERE namespace = ? AND queue = ? AND whole = ? AND group_key = ?

-- name: details_by_id
SELECT d.task_id, d.content_type, ifnull(d.data, (SELECT b.data FROM blobs AS b WHERE b.hash = d.hash))
FROM json_each(?) AS wanted JOIN details AS d ON d.task_id = wanted.value

-- name: details_hashes
SELECT DISTINCT hash FROM details WHERE hash IS NOT NULL AND task_id IN (SELECT value FROM json_each(?))

-- name: insert_inputs
INSERT INTO inputs (task_id, content_type, data, hash) VALUES {rows}

-- name: put_inputs
INSERT OR REPLACE INTO inputs (task_id, content_type, data, hash) VALUES {rows}

-- name: copy_inputs
INSERT INTO inputs (task_id, content_type, data, hash)
SELECT v.column1, i.content_type, i.data, i.hash FROM (VALUES {rows}) AS v JOIN inputs AS i ON i.task_id = v.column2

-- name: inputs_hashes
SELECT DISTINCT hash FROM inputs WHERE hash IS NOT NULL AND task_id IN (SELECT value FROM json_each(?))

-- name: insert_results
INSERT OR REPLACE INTO results (task_id, content_type, data, hash) VALUES {rows}

-- name: put_details
INSERT OR REPLACE INTO details (task_id, content_type, data, hash) VALUES {rows}

-- name: insert_blobs
INSERT OR IGNORE INTO blobs (hash, data) VALUES {rows}

-- name: insert_attempts
INSERT OR REPLACE INTO attempts ({columns:Attempt}) VALUES {rows}

-- name: insert_dependencies
INSERT INTO dependencies (task_id, depends_on, met) VALUES {rows}

-- name: meet_dependencies
UPDATE dependencies SET met = 1
FROM (VALUES {rows}) AS v WHERE task_id = v.column1 AND depends_on = v.column2

-- name: insert_keys
INSERT OR REPLACE INTO idempotency_keys (namespace, key, task_id, content_hash, expire_at) VALUES {rows}

-- name: put_admissions
INSERT OR REPLACE INTO admissions ({columns:AdmissionKey}, {columns:Admission}) VALUES {rows}

-- name: insert_requests
INSERT INTO requests (namespace, method, request_id, body_hash, reply, time) VALUES {rows}

-- name: insert_logs
INSERT INTO logs (task_id, sequence, attempt, "offset", time, level, stream, text) VALUES {rows}

-- name: insert_log_ends
INSERT OR REPLACE INTO log_ends (task_id, attempt, sequence, next_offset) VALUES {rows}

-- name: put_queues
INSERT OR REPLACE INTO queues ({columns:Queue}) VALUES {rows}

-- name: put_counts
INSERT OR REPLACE INTO queue_counts (namespace, queue, name, state, count) VALUES {rows}

-- name: put_agents
INSERT INTO agents ({columns:Agent}) VALUES {rows}
-- A REPLACE would write the indexes anew with every change of what an agent runs.
ON CONFLICT (namespace, id) DO UPDATE SET {sets:Agent}

-- name: put_schedules
INSERT OR REPLACE INTO schedules ({columns:Schedule}) VALUES {rows}

-- name: put_instances
INSERT OR REPLACE INTO instances ({columns:Instance}) VALUES {rows}

-- name: put_pools
INSERT OR REPLACE INTO pools ({columns:PoolStatus}) VALUES {rows}

-- name: all_holds
SELECT {columns:Hold} FROM holds

-- name: all_namespaces
SELECT name, settings FROM namespaces

-- name: put_namespaces
INSERT OR REPLACE INTO namespaces (name, settings) VALUES {rows}

-- name: put_holds
INSERT OR REPLACE INTO holds ({columns:Hold}) VALUES {rows}

-- name: delete_hold
DELETE FROM holds WHERE namespace = ? AND kind = ? AND subject = ?

-- name: ready_queues
SELECT DISTINCT queue FROM queue_counts WHERE namespace = ? AND state = 3 AND count > 0

-- name: put_branches
INSERT OR REPLACE INTO cancel_trees ({columns:Branch}) VALUES {rows}

-- name: delete_branch
DELETE FROM cancel_trees WHERE root_id = ? AND task_id = ?

-- name: delete_tree
DELETE FROM cancel_trees WHERE root_id = ?

-- name: delete_walked_tree
DELETE FROM cancel_trees
WHERE root_id = ?1 AND NOT EXISTS (SELECT 1 FROM cancel_trees WHERE root_id = ?1 AND done = 0)

-- name: put_audit
INSERT OR REPLACE INTO audit ({columns:AuditEntry}) VALUES {rows}

-- name: insert_changes
INSERT INTO changes (last_revision, first_revision, time, data) VALUES {rows}

-- name: delete_agent
DELETE FROM agents WHERE namespace = ? AND id = ?

-- name: delete_instance
DELETE FROM instances WHERE id = ?

-- name: delete_schedule
DELETE FROM schedules WHERE namespace = ? AND id = ?

-- name: delete_pool
DELETE FROM pools WHERE namespace = ? AND name = ?

-- name: namespaces_with_ended
WITH RECURSIVE names (name) AS (
  SELECT min(namespace) FROM tasks WHERE end_time IS NOT NULL
  UNION ALL
  SELECT (SELECT min(namespace) FROM tasks WHERE end_time IS NOT NULL AND namespace > names.name)
  FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL

-- name: tasks_to_prune
-- By namespace and state, so that what some keep for long is in nobody's way.
SELECT {columns:Task} FROM json_each(?) AS due CROSS JOIN tasks
  ON tasks.namespace = json_extract(due.value, '$[0]') AND tasks.state = json_extract(due.value, '$[1]')
  AND tasks.end_time < json_extract(due.value, '$[2]')
WHERE tasks.end_time IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM dependencies AS d JOIN tasks AS waiting ON waiting.id = d.task_id
    WHERE d.depends_on = tasks.id AND d.met = 0 AND waiting.state = 1
  )
LIMIT ?

-- name: prune_hashes
SELECT hash FROM inputs WHERE hash IS NOT NULL AND task_id IN (SELECT value FROM json_each(?1))
UNION SELECT hash FROM results WHERE hash IS NOT NULL AND task_id IN (SELECT value FROM json_each(?1))
UNION SELECT hash FROM details WHERE hash IS NOT NULL AND task_id IN (SELECT value FROM json_each(?1))

-- name: prune_blob
DELETE FROM blobs WHERE hash = ?1
  AND NOT EXISTS (SELECT 1 FROM inputs WHERE hash = ?1) AND NOT EXISTS (SELECT 1 FROM results WHERE hash = ?1)
  AND NOT EXISTS (SELECT 1 FROM details WHERE hash = ?1)

-- name: prune_tasks
DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))

-- name: prune_inputs
DELETE FROM inputs WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_results
DELETE FROM results WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_details
DELETE FROM details WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_attempts
DELETE FROM attempts WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_logs
DELETE FROM logs WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_log_ends
DELETE FROM log_ends WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_dependencies
DELETE FROM dependencies WHERE task_id IN (SELECT value FROM json_each(?))

-- name: prune_keys
DELETE FROM idempotency_keys
WHERE task_id IN (SELECT value FROM json_each(?1)) AND (expire_at IS NULL OR expire_at <= ?2)

-- name: prune_expired_keys
DELETE FROM idempotency_keys WHERE (namespace, key) IN (
  SELECT namespace, key FROM idempotency_keys WHERE expire_at IS NOT NULL AND expire_at <= ? ORDER BY expire_at LIMIT ?
)

-- name: prune_admissions
DELETE FROM admissions
WHERE task_id IN (SELECT value FROM json_each(?1)) AND (expire_at IS NULL OR expire_at <= ?2)

-- name: prune_expired_admissions
DELETE FROM admissions WHERE (namespace, kind, name, key) IN (
  SELECT namespace, kind, name, key FROM admissions
  WHERE expire_at IS NOT NULL AND expire_at <= ? ORDER BY expire_at LIMIT ?
)

-- name: prune_requests
DELETE FROM requests WHERE (namespace, method, request_id) IN
  (SELECT namespace, method, request_id FROM requests WHERE time < ? ORDER BY time LIMIT ?)

-- name: prune_audit
DELETE FROM audit WHERE (namespace, id) IN (SELECT namespace, id FROM audit WHERE time < ? ORDER BY time LIMIT ?)

-- name: prune_changes
-- Of the oldest, all up to the last that is too old: a log that begins somewhere has no gaps, however the clock jumps.
DELETE FROM changes WHERE last_revision <= (
  SELECT max(last_revision) FROM (SELECT last_revision, time FROM changes ORDER BY last_revision LIMIT ?3)
  WHERE time < ?1 OR last_revision <= ?2
)
  -- The newest stays: it is what revisions go on from.
  AND last_revision < (SELECT max(last_revision) FROM changes)

-- name: agents_to_prune
SELECT {columns:Agent} FROM agents WHERE state = 4 AND running = 0 AND last_contact_time < ? LIMIT ?

-- name: instances_to_prune
SELECT {columns:Instance} FROM instances WHERE state = 4 AND end_time < ? LIMIT ?

-- name: prune_counts
DELETE FROM queue_counts WHERE count = 0

-- name: read_task
SELECT {columns:Task} FROM tasks WHERE id = ? AND namespace = ?

-- name: read_attempts
SELECT * FROM (SELECT {columns:Attempt} FROM attempts WHERE task_id = ? ORDER BY attempt DESC LIMIT 100) ORDER BY 2

-- name: read_dependencies
SELECT depends_on FROM dependencies WHERE task_id = ? ORDER BY depends_on

-- name: read_logs
SELECT task_id, sequence, attempt, "offset", time, level, stream, text FROM logs
WHERE task_id = ?1 AND sequence > ?2 AND (?3 = 0 OR attempt = ?3)
  AND EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND namespace = ?5)
ORDER BY sequence LIMIT ?4

-- name: read_log_tail
SELECT min(sequence) FROM (
  SELECT sequence FROM logs WHERE task_id = ?1 AND (?2 = 0 OR attempt = ?2) ORDER BY sequence DESC LIMIT ?3
)

-- name: count_all
SELECT state, sum(count) FROM queue_counts WHERE namespace = ? AND count > 0 GROUP BY state

-- name: read_agent
SELECT {columns:Agent} FROM agents WHERE namespace = ? AND id = ?

-- name: read_schedule
SELECT {columns:Schedule} FROM schedules WHERE namespace = ? AND id = ?

-- name: read_queues
SELECT {columns:Queue} FROM queues
WHERE namespace = ? AND name > ? ORDER BY name LIMIT ?

-- name: read_audit
SELECT {columns:AuditEntry} FROM audit WHERE namespace = ? AND id < ? ORDER BY id DESC LIMIT ?

-- name: read_namespace
SELECT settings FROM namespaces WHERE name = ?

-- name: read_holds
SELECT {columns:Hold} FROM holds WHERE namespace = ? AND (kind, subject) > (?, ?) ORDER BY kind, subject LIMIT ?

-- name: read_pools
SELECT {columns:PoolStatus} FROM pools WHERE namespace = ? ORDER BY name

-- name: read_instances
SELECT {columns:Instance} FROM instances WHERE (?1 IS NULL OR namespace = ?1) AND state <> 4 ORDER BY create_time, id

-- name: read_all_instances
SELECT {columns:Instance} FROM instances WHERE (?1 IS NULL OR namespace = ?1) ORDER BY create_time, id

-- name: ready_counts
SELECT c.namespace, c.queue, c.name, c.count FROM queue_counts AS c
JOIN queues AS q ON q.namespace = c.namespace AND q.name = c.queue
WHERE c.state = 3 AND c.count > 0 AND q.paused = 0

-- name: running_tasks
SELECT {columns:Task} FROM tasks WHERE state = 4 AND state NOT IN (3, 6)

-- name: live_agents
SELECT {columns:Agent} FROM agents WHERE state <> 4

-- name: last_revision
SELECT ifnull(max(last_revision), 0) FROM changes

-- name: change_bounds
SELECT ifnull((SELECT first_revision FROM changes WHERE last_revision = (SELECT min(last_revision) FROM changes)), 0),
  ifnull((SELECT max(last_revision) FROM changes), 0)

-- name: changes_after
SELECT last_revision, first_revision, data FROM changes
WHERE last_revision > ?1 AND last_revision <= ?1 + ?2 + 1000 AND first_revision <= ?1 + ?2 ORDER BY last_revision

-- name: explain_unmet
SELECT depends_on FROM dependencies WHERE task_id = ? AND met = 0 ORDER BY depends_on LIMIT ?

-- name: explain_unblocked
SELECT max(tasks.end_time) FROM dependencies JOIN tasks ON tasks.id = dependencies.depends_on
WHERE dependencies.task_id = ?

-- name: explain_queue
SELECT {columns:Queue} FROM queues WHERE namespace = ? AND name = ?

-- name: explain_holds
SELECT {columns:Hold} FROM holds WHERE namespace = ? ORDER BY kind, subject LIMIT 10000

-- name: explain_meters
SELECT whole, full_at, back_off_until, part FROM meters
WHERE namespace = ?1 AND queue = ?2 AND (whole = 1 OR group_key = ?3)

-- name: explain_running
SELECT id FROM tasks WHERE state = 4 AND state NOT IN (3, 6) AND namespace = ? AND queue = ? ORDER BY id

-- name: explain_running_of_key
SELECT id FROM tasks
WHERE state = 4 AND state NOT IN (3, 6) AND namespace = ? AND queue = ? AND ifnull(json_extract(lane, '$[0]'), '') = ?
ORDER BY id

-- name: explain_first_lane
SELECT name, lane FROM tasks WHERE state = 3 AND namespace = ? AND queue = ? AND name > ? ORDER BY name, lane LIMIT 1

-- name: explain_next_lane
SELECT name, lane FROM tasks WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane > ?
ORDER BY lane LIMIT 1

-- name: explain_size
SELECT count(*) FROM (
  SELECT 1 FROM tasks WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane IS ? LIMIT ?
)

-- name: explain_higher
SELECT count(*) FROM (
  SELECT 1 FROM tasks
  WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane IS ? AND priority > ? LIMIT ?
)

-- name: explain_same
SELECT count(*) FROM (
  SELECT 1 FROM tasks
  WHERE state = 3 AND namespace = ? AND queue = ? AND name = ? AND lane IS ? AND priority = ?
    AND (run_at, id) < (?, ?)
  LIMIT ?
)
