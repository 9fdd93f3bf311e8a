"""Where accounts, refresh tokens and revocations are remembered."""
