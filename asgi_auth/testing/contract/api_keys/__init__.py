"""What an ``APIKeyStore`` promises."""

from asgi_auth.testing.contract.api_keys.does import APIKeyStoreDoes
from asgi_auth.testing.contract.api_keys.races import APIKeyStoreRaces, SharedAPIKeyStoreContract
from asgi_auth.testing.contract.api_keys.refuses import APIKeyStoreRefuses

__all__ = ["APIKeyStoreContract", "SharedAPIKeyStoreContract"]


class APIKeyStoreContract(APIKeyStoreDoes, APIKeyStoreRefuses, APIKeyStoreRaces):
    """Everything every ``APIKeyStore`` promises."""
