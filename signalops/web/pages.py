"""The HTML pages of the API process: the start page, and Swagger UI on the OpenAPI document."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.metadata import version

_START = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true, filter: true, '
    'persistAuthorization: true, docExpansion: "none", displayRequestDuration: true})'
)
API_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>SignalOps API</title>
<link rel="stylesheet" href="swagger-ui/swagger-ui.css"></head>
<body><div id="ui"></div><script src="swagger-ui/swagger-ui-bundle.js"></script>
<script>{_START}</script></body></html>
"""
API_CSP = (
    f"default-src 'none'; script-src 'self' 'sha256-{b64encode(sha256(_START.encode()).digest()).decode()}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The content security policy of the page: its own script, the files of this server, and the styles that Swagger UI sets."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
pre { padding: .75rem 1rem; overflow-x: auto; border: 1px solid #8886; border-radius: 6px; font-size: .875rem; }
dt { float: left; clear: left; width: 9rem; } dd { margin-left: 9rem; }
"""
START_CSP = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LINKS = {
    "/api/docs": "the API, with examples that run",
    "/api/openapi.json": "the API as an OpenAPI 3.1 document",
    "/healthz": "whether the process is alive",
    "/readyz": "whether it serves requests",
    "/metrics": "Prometheus metrics",
}


def start_page(base_url: str) -> str:
    """Return the page at `/`: what runs here, and what to try."""
    links = "".join(f'<dt><a href="{path}">{path}</a></dt><dd>{about}</dd>' for path, about in LINKS.items())
    body = '{"type":"user.signup","payload":{"email":"user@example.com"}}'
    headers = "-H 'Content-Type: application/json' \\\n  -H 'x-api-key: YOUR_KEY'"
    curl = f"curl -X POST {base_url}/api/events \\\n  {headers} \\\n  -d '{body}'"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>SignalOps</title>
<style>{_STYLE}</style></head>
<body><main><h1>SignalOps</h1>
<p>Stores business events once, evaluates rules, sends notifications, counts and bills usage. Version {version("signalops")}.</p>
<h2>Send an event</h2>
<pre>{escape(curl)}</pre>
<p>Create a key with <code>signalops key create --tenant TENANT --label 'first key'</code>;
<code>signalops up</code> prints that of its demonstration tenant.</p>
<h2>Here</h2>
<dl>{links}</dl></main></body></html>
"""
