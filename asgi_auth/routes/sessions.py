"""``/auth/sessions``: the caller's sessions: list, end one, end the others."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import NotFound
from ..middleware.request_session import RequestSession
from ..middleware.session import get_session
from ..services import AuthServices
from .owner import whole_owner

__all__ = ["begun", "end_other_sessions", "end_session", "list_sessions"]


async def list_sessions(request: Request, services: AuthServices) -> Response:
    """``GET``: the living sessions, the newest first, and which of them is the caller's own."""
    owner = await whole_owner(request, services)
    current = get_session(request).session_id
    sessions = [
        {
            "session_id": session.session_id,
            "device": session.device,
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "expires_at": session.expires_at,
            "is_current": session.session_id == current,
        }
        for session in await services.sessions.list(owner.subject)
    ]
    return JSONResponse({"sessions": sessions})


async def end_session(request: Request, services: AuthServices) -> Response:
    """``DELETE …/{session_id}``: 204 when it has ended; 404 for what is no living session of the caller's."""
    owner = await whole_owner(request, services)
    session_id: str = request.path_params["session_id"]
    current = get_session(request)
    if session_id == current.session_id:
        await current.logout()
    elif not await services.sessions.end(owner.subject, session_id):
        raise NotFound
    return Response(status_code=204)


async def end_other_sessions(request: Request, services: AuthServices) -> Response:
    """``DELETE``: 204 when all sessions but the caller's own have ended; all of them, for a caller with a token."""
    owner = await whole_owner(request, services)
    await services.sessions.end_others(owner.subject, get_session(request).session_id)
    return Response(status_code=204)


def begun(session: RequestSession) -> Response:
    """The answer to a sign-in by cookie: what the page may know of its session."""
    return JSONResponse(
        {
            "subject": session.subject,
            "session_id": session.session_id,
            "expires_at": session.expires_at,
            "csrf_token": session.csrf_token,
        }
    )
