"""`python -m bench.rig.found`: make a hub's tables and one node; print the node's code."""

from __future__ import annotations

import sys

import django


def main() -> None:
    """Found a community of nobody with one node."""
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("migrate", "events", database="events", verbosity=0)
    from anlin.hub.audit.log import Actor
    from anlin.hub.devices.services import create_node
    from anlin.hub.people.services import create_community

    by = Actor.command("bench")
    _, code = create_node(create_community("Tianbao", by), "gate", by)
    sys.stdout.write(code)


if __name__ == "__main__":
    main()
