"""The edges: pure-ASGI layers around an application."""
