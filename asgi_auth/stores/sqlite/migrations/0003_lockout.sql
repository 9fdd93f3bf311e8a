-- Attempts that were charged and not refunded: failures, and what is under way. One row for each key they count under.
CREATE TABLE asgi_auth_lockout_charges (
    key BLOB NOT NULL,
    at REAL NOT NULL,
    charge_id BLOB NOT NULL,
    owner BLOB NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (key, at, charge_id)
) WITHOUT ROWID;

CREATE INDEX asgi_auth_lockout_charges_charge_id ON asgi_auth_lockout_charges (charge_id);
CREATE INDEX asgi_auth_lockout_charges_owner ON asgi_auth_lockout_charges (owner);
CREATE INDEX asgi_auth_lockout_charges_expires_at ON asgi_auth_lockout_charges (expires_at);

-- Devices that an account was signed in from, by digest.
CREATE TABLE asgi_auth_lockout_devices (
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    used_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;

CREATE INDEX asgi_auth_lockout_devices_expires_at ON asgi_auth_lockout_devices (expires_at);
