"""`python -m bench.rig.homes HOMES LOGINS EVENTS`: a community whose residents are signed in.

Makes the hub's tables, so many homes of one owner each, log-ins with sessions for some of them,
and a day's passages. Prints one JSON object: session cookies and the address of a door.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import timedelta
from importlib import import_module
from typing import Any

import django

POINTS = 12
"""Gates and doors of a community of a few thousand homes that its residents may open."""


def main() -> None:
    """Found it and print what a client needs."""
    django.setup()
    homes, logins, events = (int(text) for text in sys.argv[1:4])
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("migrate", "events", database="events", verbosity=0)
    from anlin.core.entities import Direction, Method, PortalKind
    from anlin.hub.access import services as access
    from anlin.hub.access.policy import community_group
    from anlin.hub.accounts.services import resident_login
    from anlin.hub.audit.log import Actor
    from anlin.hub.devices import services as devices
    from anlin.hub.people import services as people
    from anlin.hub.people.models import Role

    by = Actor.command("bench")
    community = people.create_community("Tianbao", by)
    node, _code = devices.create_node(community, "gate", by)
    points = []
    for number in range(POINTS):
        portal = access.add_portal(
            community, f"Gate {number}", by, node=node, kind=PortalKind.TURNSTILE
        )
        points.append(
            access.add_point(
                portal,
                f"Gate {number} in",
                Direction.ENTRY,
                (Method.CARD, Method.QR, Method.FACE, Method.PHONE),
                by,
            )
        )
    access.add_rule(community, "Residents", [community_group(community.pk)], points, by)
    rows = [
        people.HomeRow(f"Building {number // 50}", f"{number}", f"Resident {number}")
        for number in range(homes)
    ]
    holders = people.import_homes(community, rows, by)
    signed_in = random.Random(1).sample(holders, logins)
    users = [resident_login(holder, by).user for holder in signed_in]
    staff, _password = people.add_staff(community, "meng", Role.MANAGER, by)
    _pass_by(node, community, points, holders, events)
    told = {
        "residents": [_session(user) for user in users],
        "manager": _session(staff.user),
        "door": points[0].pk,
    }
    sys.stdout.write(json.dumps(told))


def _pass_by(node: Any, community: Any, points: list[Any], holders: list[Any], count: int) -> None:
    """Write a day's passages straight into the log; nobody reads their chain here."""
    from django.utils import timezone

    from anlin.core.event import EventKind
    from anlin.hub.events.models import Event

    dice, now = random.Random(2), timezone.now()
    found = []
    for seq in range(1, count + 1):
        at = now - timedelta(seconds=(count - seq) * 0.5)
        point = dice.choice(points)
        data = {
            "reason": "granted",
            "method": "card",
            "point": point.pk,
            "portal": point.portal_id,
            "holder": dice.choice(holders).pk,
        }
        kind = EventKind.ACCESS_GRANTED.value
        found.append(
            (community.pk, node.pk, 1, seq, at, at, kind, point.pk, json.dumps(data), 1, "", "")
        )
    Event.append(found)


def _session(user: Any) -> str:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


if __name__ == "__main__":
    main()
