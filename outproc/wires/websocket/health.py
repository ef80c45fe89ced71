"""`/health`: a small JSON answer for load balancers and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

PATH: Final = "/health"


def add_health_route(app: web.Application, report: Callable[[], Mapping[str, object]] | None = None) -> None:
    """Serve `{"status": "ok"}`, merged with what `report` returns, unless `app` already has that route."""
    if any(resource.canonical == PATH for resource in app.router.resources()):
        return

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", **(report() if report is not None else {})})

    app.router.add_get(PATH, health)
