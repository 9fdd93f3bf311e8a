"""``/auth/api-keys``: the caller's API keys: list, create, rotate, revoke.

Whose keys they are is the caller, never something in the request. A key's value is in the answer that makes it and in
no other.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..api_keys import OVERLAP, APIKey, NewAPIKey
from ..errors import NotFound
from ..services import AuthServices
from ..tokens import is_id
from ..wire.body import Kind, fields, read_json, read_optional_json
from .owner import whole_owner

__all__ = ["create_api_key", "list_api_keys", "revoke_api_key", "rotate_api_key"]


async def list_api_keys(request: Request, services: AuthServices) -> Response:
    """``GET``: the keys, the newest first, those that ended lately too."""
    owner = await whole_owner(request, services)
    keys = await services.api_keys.list(owner.subject)
    return JSONResponse({"api_keys": [_shown(key) for key in keys]})


async def create_api_key(request: Request, services: AuthServices) -> Response:
    """``POST`` with ``name`` and perhaps ``scopes`` and ``lifetime`` in seconds: 201, and the key.

    422 where a field is not acceptable or a scope not granted, 409 where there are too many keys.
    """
    owner = await whole_owner(request, services)
    optional = {"scopes": Kind.STRINGS, "lifetime": Kind.NUMBER}
    body = fields(await read_json(request.scope, request.receive), ("name",), optional)
    made = await services.api_keys.create(
        owner.subject, body["name"], scopes=body.get("scopes"), lifetime=body.get("lifetime")
    )
    return _once(made)


async def rotate_api_key(request: Request, services: AuthServices) -> Response:
    """``POST …/{key_id}/rotate``, perhaps with ``overlap`` in seconds (a day): 201, and the key that replaces it.

    404 for what is no key of the caller's, 409 where it has ended or was rotated before.
    """
    owner = await whole_owner(request, services)
    body = fields(await read_optional_json(request.scope, request.receive), (), {"overlap": Kind.NUMBER})
    made = await services.api_keys.rotate(_key_id(request), subject=owner.subject, overlap=body.get("overlap", OVERLAP))
    if made is None:
        raise NotFound
    return _once(made)


async def revoke_api_key(request: Request, services: AuthServices) -> Response:
    """``DELETE …/{key_id}``: 204 when the key has ended, also where it had before; 404 for what is not the caller's."""
    owner = await whole_owner(request, services)
    if await services.api_keys.revoke(_key_id(request), subject=owner.subject) is None:
        raise NotFound
    return Response(status_code=204)


def _key_id(request: Request) -> str:
    key_id: str = request.path_params["key_id"]
    if not is_id(key_id):
        raise NotFound
    return key_id


def _once(made: NewAPIKey) -> Response:
    return JSONResponse({"key": made.value, **_shown(made.key)}, status_code=201)


def _shown(key: APIKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "successor_id": key.successor_id,
        "revoked_at": key.revoked_at,
    }
