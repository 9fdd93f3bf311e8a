-- Instants are seconds since the epoch. Sets are JSON text, sorted: equal sets are equal text. Secrets are digests.

CREATE TABLE asgi_auth_accounts (
    subject TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    roles TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    disabled_at REAL,
    created_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE asgi_auth_refresh_families (
    family_id TEXT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    client_id TEXT NOT NULL,
    scopes TEXT,
    epoch INTEGER NOT NULL,
    authenticated_at REAL NOT NULL,
    member_digest BLOB NOT NULL,
    current_digest BLOB NOT NULL,
    parent_digest BLOB,
    salt BLOB,
    created_at REAL NOT NULL,
    rotated_at REAL NOT NULL,
    idle_expires_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    revoked_at REAL,
    revoked_by BLOB
) WITHOUT ROWID;

CREATE INDEX asgi_auth_refresh_families_subject ON asgi_auth_refresh_families (subject, created_at);
CREATE INDEX asgi_auth_refresh_families_expires_at ON asgi_auth_refresh_families (expires_at);

CREATE TABLE asgi_auth_revocations (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    epoch INTEGER,
    until REAL NOT NULL,
    number INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE INDEX asgi_auth_revocations_until ON asgi_auth_revocations (until);

-- One row. Its number is the number of the last change: whoever writes a change updates it in the same transaction.
CREATE TABLE asgi_auth_revocation_head (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    feed_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    purged_through INTEGER NOT NULL
);

INSERT INTO asgi_auth_revocation_head VALUES (1, lower(hex(randomblob(16))), 0, 0);
