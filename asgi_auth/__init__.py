"""Authentication for any ASGI application."""
