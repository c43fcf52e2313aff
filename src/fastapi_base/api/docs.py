"""The interactive API documentation, without requests to another host.

Swagger UI comes from the locked package fastapi-swagger, which follows its releases. The page has
no inline script, so its Content-Security-Policy can restrict it to this origin
(api/middleware/security_headers.py). Its URLs are relative, so they also work below a path prefix.
"""

import hashlib
from functools import cache
from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from fastapi_base.api.dependencies.preconditions import FreshnessDep

PATH = "/docs"
OPENAPI = "/openapi.json"
_MEDIA_TYPES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. It shows <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without validatorUrl it would ask its vendor's host to validate the description.
_START = """"use strict";
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""

router = APIRouter(prefix=PATH, include_in_schema=False)


@router.get("")
async def read_page(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE.format(title=escape(request.app.title)))


@router.get("/start.js")
async def read_start() -> Response:
    """The script that starts Swagger UI."""
    return Response(_START, media_type="text/javascript")


@router.get("/{name}")
async def read_asset(name: str, freshness: FreshnessDep) -> Response:
    """A file of Swagger UI. Answers 304 to a browser that has it."""
    if name not in _MEDIA_TYPES:
        raise HTTPException(404)
    content, tag = _asset(name)
    headers = {"ETag": tag, "Cache-Control": "public, max-age=3600"}
    if freshness.has(tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[name], headers=headers)


@cache
def _asset(name: str) -> tuple[bytes, str]:
    # Imported and read on first use: it is two megabytes.
    import fastapi_swagger

    content = (files(fastapi_swagger) / "resources" / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
