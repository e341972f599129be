"""`python -m bench.rig.revoker NODES CARDS`: a hub with nodes, and a clerk who revokes cards.

Prints one JSON line with the nodes' one-time codes; then revokes one card for each line that
it reads, and prints the credential's id and when it was committed, by the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time

import django


def main() -> None:
    """Found the community, then do as told."""
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("migrate", "events", database="events", verbosity=0)
    from anlin.core.entities import HolderKind
    from anlin.hub.access.credentials import add_card, revoke_credential
    from anlin.hub.audit.log import Actor
    from anlin.hub.devices.services import create_node
    from anlin.hub.people.services import create_community, register_holder

    nodes, cards = int(sys.argv[1]), int(sys.argv[2])
    by = Actor.command("bench")
    community = create_community("Tianbao", by)
    codes = [create_node(community, f"gate {number}", by)[1] for number in range(nodes)]
    waiting = [
        add_card(
            register_holder(community, f"Lin {number}", by, kind=HolderKind.STAFF),
            f"{0x04A10000 + number:08X}",
            by,
        )
        for number in range(cards)
    ]
    _say({"codes": codes})
    for _ in sys.stdin:
        card = waiting.pop()
        revoke_credential(card, by)
        _say({"credential": card.pk, "at": time.monotonic()})


def _say(data: object) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
