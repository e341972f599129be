"""Prepare the demo's community, in a process of its own that ends and gives its memory back.

python -m anlin.sim.prepare community --home DIR    # tables, community, log-ins; JSON on stdout
python -m anlin.sim.prepare faces --home DIR        # faces, once the node is enrolled
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from anlin.sim import town


def main() -> None:
    """Do one of the two."""
    parser = argparse.ArgumentParser(description="Prepare the demo")
    parser.add_argument("what", choices=("community", "faces"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rtsp", type=int, default=8554)
    given = parser.parse_args()
    setup(given.home)
    if given.what == "community":
        sys.stdout.write(json.dumps(_community(given.home, given.rtsp)) + "\n")
    else:
        _faces(given.home)


def setup(home: Path) -> None:
    """Make Django ready in this process, on this state folder."""
    os.environ["ANLIN_HOME"] = str(home)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anlin.hub.settings")
    import django

    django.setup()


def _community(home: Path, rtsp: int) -> dict[str, Any]:
    """Bring tables and community up; give log-ins and, before the first start, the node's code."""
    from django.core.management import call_command

    _say("tables")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("migrate", "events", database="events", verbosity=0, interactive=False)
    from anlin.hub.devices.services import write_broker_users
    from anlin.hub.people.models import Community
    from anlin.sim import community

    made = town.load(home)
    code: str | None
    if made is None:
        _say("325 homes, about 900 people, two gates, a lane, four doors")
        made, code = community.seed(home)
    else:
        code = community.new_code(made.node)
    write_broker_users()
    paths = [*town.FACES.values(), town.LANE_CAMERA]
    community.point_cameras(made, {path: f"rtsp://127.0.0.1:{rtsp}/{path}" for path in paths})
    _say("log-ins")
    logins = community.new_logins(Community.objects.get(pk=made.community))
    return {"code": code, "logins": logins, "resident_phone": community.resident_phone(made)}


def _faces(home: Path) -> None:
    from anlin.sim import community

    made = town.load(home)
    if made is None:
        sys.exit("faces: there is no community yet")
    if town.load_faces(home):
        return
    town.save_faces(home, community.enrol_faces(made))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
