-- Sessions of browsers. The id is public; the secret in the cookie is known by its digest alone.

CREATE TABLE asgi_auth_sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    secret_digest BLOB NOT NULL,
    subject TEXT,
    epoch INTEGER NOT NULL,
    roles TEXT NOT NULL,
    authenticated_at REAL,
    device TEXT NOT NULL,
    data TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at REAL NOT NULL,
    last_seen_at REAL NOT NULL,
    idle_expires_at REAL NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX asgi_auth_sessions_subject ON asgi_auth_sessions (subject, created_at) WHERE subject IS NOT NULL;
-- What ends first ends the session: a purge asks in these very words.
CREATE INDEX asgi_auth_sessions_end ON asgi_auth_sessions (MIN(expires_at, idle_expires_at));

CREATE TABLE asgi_auth_api_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    secret_digest BLOB NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT,
    created_at REAL NOT NULL,
    expires_at REAL,
    last_used_at REAL,
    successor_id TEXT,
    revoked_at REAL
) WITHOUT ROWID;

CREATE INDEX asgi_auth_api_keys_subject ON asgi_auth_api_keys (subject, created_at);
CREATE INDEX asgi_auth_api_keys_expires_at ON asgi_auth_api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX asgi_auth_api_keys_revoked_at ON asgi_auth_api_keys (revoked_at) WHERE revoked_at IS NOT NULL;

-- Values that exactly one caller gets, or that are put exactly once.
CREATE TABLE asgi_auth_one_time (
    key BLOB NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX asgi_auth_one_time_expires_at ON asgi_auth_one_time (expires_at);
