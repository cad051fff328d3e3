"""What a channel is: a pydantic model whose fields are the tenant's configuration, and that can send."""

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from signalops.errors import Invalid
from signalops.send.markup import Markup
from signalops.send.model import Envelope, Outcome
from signalops.send.transport import Transport


class Channel(BaseModel, ABC):
    """A way to notify. What it is configured with can be read by the tenant; what may not be read is its secret.

    A message's body comes in the channel's `markup`, its subject as plain text: a channel whose receiver would read markup
    in the subject neutralises it.
    """

    markup: ClassVar[Markup]
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def keep_secret(cls, given: str | None) -> str | None:
        """Return the secret to keep for a new channel: the one given, or one made here; Invalid if it can't be used."""
        if given is not None:
            raise Invalid(f"A channel of this kind needs no secret: leave it out ({cls.__name__.lower()}).")
        return None

    @abstractmethod
    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        """Make one attempt. What the provider or the network does is an outcome; only a bug raises."""
