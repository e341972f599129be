"""Who may connect to the broker, and which topics each may use.

amqtt's own access list grants `x/#` to a holder of `x/+`; ours compares whole filters with the
few that the profile names (docs/ref/mqtt_gate.md) and refuses everything else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import structlog
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from anlin.core.codec import DataError
from anlin.wire.mqtt_users import Role, User, from_json, is_password

log = structlog.get_logger(__name__)

PREFIX = "anlin/v1/"
UP = (
    "read",
    "tag",
    "contact",
    "button",
    "tamper",
    "fire",
    "loop",
    "arm",
    "struck",
    "crossed",
    "fault",
    "state",
)
DOWN = ("relay", "screen", "voice", "levels", "ack", "#", "+")
USER_FILES = ("devices.json", "edges.json")
"""The hub writes the first, whoever sets up this machine the second: one writer for each."""


class Users:
    """The users in `<home>/broker`; `refresh` reads the files again once they have changed."""

    def __init__(self, home: Path) -> None:
        self._paths = [home / "broker" / name for name in USER_FILES]
        self._stamp: list[tuple[int, int] | None] = []
        self._users: dict[str, User] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the files if they changed; say whether they did.

        A file that can't be read keeps out only its own new users: those known stay.
        """
        stamp = [_stamp(path) for path in self._paths]
        if stamp == self._stamp:
            return False
        users: dict[str, User] = {}
        for path in self._paths:
            try:
                users |= from_json(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, DataError) as error:
                log.error("broker_users_unreadable", file=path.name, error=str(error))
                return False
        self._stamp, self._users = stamp, users
        return True

    def find(self, name: str | None) -> User | None:
        """Give the user of that name."""
        return self._users.get(name or "")

    def admits(self, name: str | None, password: str | None, client: str | None) -> bool:
        """Say whether a client may connect: its password holds and it uses its own client id.

        A foreign client id would take over that client's session, so a device has exactly its
        own name, and an edge its name or that with a suffix after a slash.
        """
        self.refresh()
        user = self.find(name)
        if user is None or password is None or not is_password(user, password):
            return False
        if user.role is Role.EDGE and client is not None:
            return client.partition("/")[0] == user.name
        return client == user.name


def may(user: User | None, action: Action, topic: str) -> bool:
    """Say whether a user may publish to a topic, subscribe to a filter or receive a topic."""
    if user is None:
        return False
    if user.role is Role.EDGE:
        return topic.startswith(PREFIX)
    own = f"{PREFIX}{user.name}/"
    if action is Action.PUBLISH:
        return topic in {f"{own}up/{name}" for name in UP}
    if action is Action.SUBSCRIBE:
        return topic in {f"{own}down/{name}" for name in DOWN}
    return topic.startswith(f"{own}down/")


class Access(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]  # amqtt has no types
    """amqtt's two questions, answered from the users' files."""

    @dataclass
    class Config:
        """Where the state folder is."""

        home: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.users = Users(Path(self._get_config_option("home")))

    async def authenticate(self, *, session: Session) -> bool:
        return self.users.admits(session.username, session.password, session.client_id)

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        if session is None or topic is None or action is None:
            return False
        return may(self.users.find(session.username), action, topic)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
