"""How the API documentation describes what a webhook receives: schema, example, and code that verifies the signature."""

from signalops.types import JsonObject

_PYTHON = """\
from standardwebhooks import Webhook  # pip install standardwebhooks

def receive(headers, body: bytes):
    event = Webhook("whsec_...").verify(body, headers)  # raises WebhookVerificationError
    print(event["type"], event["data"]["event"]["payload"])"""
_NODE = """\
import { Webhook } from "standardwebhooks"; // npm install standardwebhooks

export function receive(headers, body) {
  const event = new Webhook("whsec_...").verify(body, headers); // throws WebhookVerificationError
  console.log(event.type, event.data.event.payload);
}"""
ABOUT = f"""\
A channel of the kind `webhook` posts this body, signed according to [Standard Webhooks](https://www.standardwebhooks.com): pass
the headers and the body as received to one of its libraries. Answer with a 2xx status; anything else is retried, with the same
`webhook-id`.

Python:

```python
{_PYTHON}
```

Node:

```js
{_NODE}
```
"""
EXAMPLE: JsonObject = {
    "type": "user.signup",
    "timestamp": "2026-11-29T13:33:38.105Z",
    "data": {
        "event": {
            "id": "01a22782-dfb9-7745-8365-b6fc4098e31b",
            "type": "user.signup",
            "source": None,
            "occurredAt": "2026-11-29T13:33:38.105Z",
            "payload": {"email": "user@example.com", "plan": "pro"},
        },
        "rule": {"id": "01a22782-452e-7483-a1eb-5d685f3b158c", "name": "new signups", "version": 1, "severity": "info"},
        "subject": "New user: user@example.com",
        "body": "user@example.com signed up.",
    },
}
_TEXT = {"type": "string"}
_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["type", "timestamp", "data"],
    "properties": {
        "type": _TEXT | {"description": "The event's type."},
        "timestamp": _TEXT | {"format": "date-time", "description": "When the event happened."},
        "data": {
            "type": "object",
            "required": ["event", "rule", "subject", "body"],
            "properties": {
                "event": {"type": "object", "description": "The event; your payload is in `data.event.payload`."},
                "rule": {"type": "object", "description": "The rule that matched: id, name, version, severity."},
                "subject": {"type": ["string", "null"], "description": "Rendered by the rule's template."},
                "body": {"type": ["string", "null"], "description": "Rendered by the rule's template."},
                "window": {"type": "object", "description": "Of a rule with a window: value, group, since, until."},
                "events": {"type": "array", "description": "Of a digest: its events."},
                "count": {"type": "integer", "description": "Of a digest: how many events it is about."},
                "replay": {"type": "boolean", "description": "true: it was asked for by a replay."},
            },
        },
    },
}
_HEADERS = {
    "webhook-id": "`msg_` and the delivery's id: the same in each attempt.",
    "webhook-timestamp": "Unix time of the attempt in seconds.",
    "webhook-signature": "`v1,` and a base64 HMAC-SHA256; several during a rotation, separated by blanks.",
}


def webhooks() -> JsonObject:
    """Return the `webhooks` of the OpenAPI document."""
    parameters = [{"name": n, "in": "header", "required": True, "description": d, "schema": _TEXT} for n, d in _HEADERS.items()]
    content = {"application/json": {"schema": _SCHEMA, "example": EXAMPLE}}
    return {
        "notification": {
            "post": {
                "operationId": "receiveNotification",
                "summary": "What a webhook channel receives",
                "description": ABOUT,
                "tags": ["Channels"],
                "parameters": parameters,
                "requestBody": {"required": True, "content": content},
                "responses": {"2XX": {"description": "It is delivered."}, "default": {"description": "It is retried."}},
            }
        }
    }
