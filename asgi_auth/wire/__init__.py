"""How the RFCs look on ASGI; no policy."""
