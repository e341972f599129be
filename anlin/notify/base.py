"""What every channel shares: the message, its receipt, and the one error a channel raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar


class ChannelError(Exception):
    """A message did not leave.

    `permanent` says that trying the same again is of no use: the number is wrong, the address
    has gone, or the channel is set up wrongly. Its text names the channel and the rule; it never
    holds the message, the secret of the channel, or the whole of an address.

    `maybe_taken` says that the message may have left all the same: the answer was lost, or can't
    be read. Who must not send twice does not try such a one again.
    """

    def __init__(self, text: str, *, permanent: bool, maybe_taken: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.maybe_taken = maybe_taken


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person on one channel.

    `text` is the whole of it, for channels that take a text. `kind` and `values` name the
    approved template and its blanks, for gateways that send nothing else (in China all do).
    `key` is the same for each try of one message: a channel that can, sends it once.
    """

    to: str
    kind: str
    text: str
    title: str = ""
    url: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a channel took a message; `reference` is the channel's own number for it, or empty."""

    reference: str = ""


_Config = TypeVar("_Config", contravariant=True)


class Channel(Protocol[_Config]):
    """A way to reach a person: `transport.py` of a channel's directory has this function."""

    def send(self, message: Message, config: _Config) -> Receipt:
        """Hand one message over; it waits no longer than the config allows.

        Raises:
            ChannelError: it was not taken.
        """
        ...
