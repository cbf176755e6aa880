-- Resources of every kind. Ids are never used again, also after the last one was removed: that is what AUTOINCREMENT is for.
-- `inside` is the id of the resource in which one is, or NULL. `fields` is a JSON object.
CREATE TABLE IF NOT EXISTS resources (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    shelf             TEXT NOT NULL,
    inside            INTEGER REFERENCES resources (id) ON DELETE CASCADE,
    owner             TEXT NOT NULL,
    created_at_millis INTEGER NOT NULL,
    fields            TEXT NOT NULL
);

-- A page of a shelf, and how many are on it.
CREATE INDEX IF NOT EXISTS resources_by_shelf ON resources (shelf, inside, id);
-- What goes with the resource it is inside of.
CREATE INDEX IF NOT EXISTS resources_by_inside ON resources (inside) WHERE inside IS NOT NULL;
-- What goes with its owner.
CREATE INDEX IF NOT EXISTS resources_by_owner ON resources (owner, shelf);
-- What goes by its age.
CREATE INDEX IF NOT EXISTS resources_by_age ON resources (shelf, inside, created_at_millis);
