"""What a channel is: a pydantic model whose fields are the tenant's configuration, and that can send."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from signalops.config import Settings
from signalops.errors import Invalid
from signalops.send.markup import Markup
from signalops.send.message_models import Envelope, Outcome
from signalops.send.transport import Transport


class Channel(BaseModel, ABC):
    """A kind of channel.

    The tenant can read its configuration, but not its secret. The message's body is in the channel's `markup`, its subject
    plain text: a channel whose receiver interprets markup in the subject escapes it.
    """

    markup: ClassVar[Markup]
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, serialize_by_alias=True)

    @property
    def body_markup(self) -> Markup:
        """The markup of the body: the kind's, unless the configuration has another one."""
        return self.markup

    @property
    def takes_secret(self) -> bool:
        """Whether a channel of this configuration uses a secret; if not, a stored one is dropped."""
        return True

    def normalize_secret(self, secret: str | None) -> str | None:
        """Return the secret to keep for a new channel: the one given, or one made here; Invalid if it can't be used."""
        if secret is not None:
            raise Invalid(f"A channel of this kind needs no secret: leave it out ({type(self).__name__.lower()}).")
        return None

    def made_here(self, secret: str | None, normalized: str | None) -> str | None:
        """Return what of a new secret was not given but made, and must be shown once."""
        return normalized if secret is None else None

    def account(self, secret: str | None) -> str | None:
        """Return what the provider counts and blocks by, where several channels may share it: a bot, a number."""
        return None

    def check(self, secret: str | None, settings: Settings) -> None:
        """Raise Invalid if the installation would never send this, as far as that can be checked without the network."""

    @abstractmethod
    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        """Make one attempt. What the provider or the network does is an outcome; only a bug raises."""


def read_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that a provider answered; an empty one if it is none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
