/**
 * The desktop's schema, one step a number: `PRAGMA user_version` says how many were applied. A step that was released
 * is never changed; the next one mends it. Bodies are the contract's JSON; columns beside them are what queries need.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX approvals_by_state ON approvals (state, expires_at);
  CREATE INDEX approvals_by_time ON approvals (requested_at);

  CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    agent TEXT NOT NULL,
    connection TEXT NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sessions_by_time ON sessions (opened_at, id);

  CREATE TABLE recordings (
    session TEXT PRIMARY KEY,
    complete INTEGER NOT NULL,
    stored_at TEXT NOT NULL,
    nonce BLOB NOT NULL,
    sealed BLOB NOT NULL
  ) STRICT;
  `,
  // Recordings were single sealed blobs; they are files beside this store now, fetched anew where they are wanted.
  `
  CREATE TABLE library (
    session TEXT PRIMARY KEY,
    pinned_at TEXT,
    used_at TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    total INTEGER,
    stored INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    bundle TEXT NOT NULL,
    problem TEXT
  ) STRICT;
  DELETE FROM recordings;
  `,
  `
  CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    agent TEXT NOT NULL,
    connection TEXT NOT NULL,
    plan TEXT,
    requested_at TEXT NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX grants_by_time ON grants (requested_at, id);
  CREATE INDEX grants_by_agent ON grants (agent, connection, requested_at);
  CREATE INDEX grants_by_plan ON grants (plan) WHERE plan IS NOT NULL;

  CREATE TABLE plans (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE agents (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE policy (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT;
  CREATE TABLE policy_work (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (owner, id)
  ) STRICT;
  `,
  // Reviews: bodies are sealed (outbox/seal.ts).
  `
  CREATE TABLE campaigns (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
  CREATE TABLE campaign_items (
    id TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    waits INTEGER NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX campaign_items_in_order ON campaign_items (campaign, number);
  CREATE TABLE item_pages (
    item TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX item_pages_by_campaign ON item_pages (campaign);
  `,
]
