"""Access: the keys with which requests come in."""

from signalops import errors
from signalops.access.http import Keys
from signalops.access.model import KeyList, KeyMade, KeyShown, NewKey, Revocation, Rotation
from signalops.http import Page
from signalops.web.operations.operation import ALWAYS, BODY, Operation


def keys(keys: Keys) -> list[Operation]:
    """Return what concerns keys."""
    return [
        Operation(
            "GET",
            "/api/keys",
            "listKeys",
            "List keys, newest first",
            keys.list,
            "keys:*",
            {200: KeyList},
            (*ALWAYS, errors.Invalid),
            query=Page,
        ),
        Operation(
            "POST",
            "/api/keys",
            "createKey",
            "Make a key, which is shown this once",
            keys.create,
            "keys:*",
            {201: KeyMade},
            (*ALWAYS, *BODY, errors.Conflict),
            bodies={"application/json": NewKey},
        ),
        Operation(
            "GET",
            "/api/keys/{id}",
            "getKey",
            "Show a key, but for the key itself",
            keys.get,
            "keys:*",
            {200: KeyShown},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/keys/{id}",
            "revokeKey",
            "Refuse a key from now on",
            keys.revoke,
            "keys:*",
            {200: KeyShown},
            (*ALWAYS, errors.NotFound, errors.Invalid),
            query=Revocation,
        ),
        Operation(
            "POST",
            "/api/keys/{id}/rotate",
            "rotateKey",
            "Replace a key by a new one; both are accepted for a while",
            keys.rotate,
            "keys:*",
            {201: KeyMade},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": Rotation},
        ),
    ]
