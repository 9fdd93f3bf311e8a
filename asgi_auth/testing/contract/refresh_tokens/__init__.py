"""What a ``RefreshTokenStore`` promises."""

from asgi_auth.testing.contract.refresh_tokens.does import RefreshTokenStoreDoes
from asgi_auth.testing.contract.refresh_tokens.races import RefreshTokenStoreRaces, SharedRefreshTokenStoreContract
from asgi_auth.testing.contract.refresh_tokens.refuses import RefreshTokenStoreRefuses

__all__ = ["RefreshTokenStoreContract", "SharedRefreshTokenStoreContract"]


class RefreshTokenStoreContract(RefreshTokenStoreDoes, RefreshTokenStoreRefuses, RefreshTokenStoreRaces):
    """Everything every ``RefreshTokenStore`` promises."""
