-- What an entry of the audit log changed, in words.
ALTER TABLE audit ADD COLUMN change TEXT NOT NULL DEFAULT '';
