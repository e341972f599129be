"""The first community of an installation, founded on a page by whoever reads its console.

Until then nobody can log in, and nobody may found but with the code that `anlin up` printed. It
is made anew at each start, kept as a keyed hash, and void once a community exists.
"""

from __future__ import annotations

import hmac
import os
import secrets
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from anlin.hub import plan, vault
from anlin.hub.audit.log import Actor
from anlin.hub.errors import RuleError
from anlin.hub.ids import random_text
from anlin.hub.people.models import Community

TRIES = 5
"""Wrong codes from one address before a wait, as at the log-in."""
TRIES_OF_ALL = 50
"""From everywhere: 60 bits outlast any number of addresses, and a mistyping installer is one."""
WAIT = timedelta(minutes=5)

CODE_FILE_SETTING = "ANLIN_NODE_CODE_FILE"
"""Where `anlin up` waits for the code of its own edge; unset where the edge stands elsewhere."""

_CODE_CHARS = 12
_USE = "first code"
_BY = "first page"


class TooMany(RuleError):
    """Too many wrong codes; even the right one has to wait."""


class Closed(RuleError):
    """A community exists: nothing is founded here any more."""


def is_open() -> bool:
    """Say whether no community exists yet."""
    return not Community.objects.exists()


def new_code() -> str:
    """Make the code of this start; "" where a community exists."""
    path = _path()
    if not is_open():
        path.unlink(missing_ok=True)
        return ""
    code = random_text(_CODE_CHARS)
    _write_private(path, vault.fingerprint(code, _USE))
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def found(
    code: str, address: str, *, name: str, manager: str, node: str, zone: str
) -> plan.Founded:
    """Found the first community for the right code: its manager and this machine's edge.

    Its edge, where `anlin up` waits for one, is given its own code; `node_code` is then empty.

    Raises:
        TooMany: too many wrong codes from this address, or in all.
        Closed: a community exists already.
        RuleError: a wrong code, or a name or zone that can't be; nothing was made.
    """
    if not is_open():
        raise Closed(_("A community exists already. Log in, or ask its manager."))
    counters = {f"first:{address}": TRIES, "first": TRIES_OF_ALL}
    # Counted before it is checked: a hundred tries at once are a hundred, not one.
    for key, most in counters.items():
        cache.add(_safe(key), 0, timeout=int(WAIT.total_seconds()))
        if cache.incr(_safe(key)) > most:
            raise TooMany(
                _("Too many wrong tries. Wait %(minutes)d minutes, then try again.")
                % {"minutes": WAIT.seconds // 60},
                "code",
            )
    if not _is_right(code):
        raise RuleError(
            _("This is not the code. It stands on the console where `anlin up` was started."),
            "code",
        )
    for key in counters:
        cache.delete(_safe(key))
    given = plan.read_plan({"name": name, "manager": manager, "node": node, "zone": zone})
    with transaction.atomic():
        # Two who read the same console found one community, not two.
        if not is_open():
            raise Closed(_("A community exists already. Log in, or ask its manager."))
        made = plan.found(given, Actor.command(_BY))
    _path().unlink(missing_ok=True)
    waiting = os.environ.get(CODE_FILE_SETTING)
    if not waiting:
        return made
    _write_private(Path(waiting), made.node_code)
    return plan.Founded(made.manager, made.password, "", made.devices)


def _is_right(code: str) -> bool:
    try:
        kept = _path().read_text().strip()
    except FileNotFoundError:
        return False
    typed = code.replace("-", "").replace(" ", "").strip().lower()[:40]
    return bool(kept) and hmac.compare_digest(kept, vault.fingerprint(typed, _USE))


def _path() -> Path:
    return Path(settings.HUB_HOME) / "first-code"


def _safe(key: str) -> str:
    return key.encode().hex()[:230]


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read: whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
