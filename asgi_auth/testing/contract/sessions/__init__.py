"""What a ``SessionStore`` promises."""

from asgi_auth.testing.contract.sessions.does import SessionStoreDoes
from asgi_auth.testing.contract.sessions.races import SessionStoreRaces, SharedSessionStoreContract
from asgi_auth.testing.contract.sessions.refuses import SessionStoreRefuses

__all__ = ["SessionStoreContract", "SharedSessionStoreContract"]


class SessionStoreContract(SessionStoreDoes, SessionStoreRefuses, SessionStoreRaces):
    """Everything every ``SessionStore`` promises."""
