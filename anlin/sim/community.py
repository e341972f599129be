"""A community the size of 天宝绿洲: 325 homes, about 900 people, two gates, a lane, four doors.

Everything is made by the hub's own services, as an installer and a property office would. Import
this only after `django.setup()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from anlin.core.entities import Direction, HolderKind, Method, PortalKind
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.access.policy import STAFF, VISITORS, building_group, community_group
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.people import services as people
from anlin.hub.people.models import (
    Building,
    Community,
    Holder,
    Purpose,
    ResidencyKind,
    Role,
    StaffProfile,
)
from anlin.hub.people.services import HomeRow
from anlin.sim import faces, plates, town
from anlin.sim.town import Controller, Resident, Town
from anlin.vision import enrol

BY = Actor.command("anlin demo")
NAME = "天宝绿洲"
HOMES = 325
BUILDINGS = 4
HOMES_PER_FLOOR = 6
OTHERS_WITH_CARD = 60
ENROLLED_FACES = 4
LINS_PHONE = "13800000001"

HELD_OPEN_S, PREALARM_S = 8.0, 4.0
"""Shorter than at a real gate, so that nobody waits half a minute for the story to go on."""

STAFF_LOGINS = {"guo": (Role.GUARD, "郭"), "meng": (Role.MANAGER, "孟")}

_GATE_IN = (Method.FACE, Method.CARD, Method.QR, Method.PIN)
_GATE_OUT = (Method.EXIT_BUTTON, Method.CARD)


def seed(home: Path) -> tuple[Town, str]:
    """Make the community; give it and the one-time code that enrols its node.

    Written in one transaction: a start that is interrupted leaves nothing half made.
    """
    with transaction.atomic():
        community = people.create_community(NAME, BY)
        node, code = devices.create_node(community, "门房 gatehouse", BY)
        residents = _residents(community)
        buildings = {building.name: building for building in community.buildings.all()}
        controllers = _portals(community, node, buildings)
        cameras = _cameras(node, controllers)
        made = Town(
            community.pk,
            node.pk,
            controllers,
            cameras,
            cast=_cast(residents),
            plate=_plate(residents["王"]),
            others=tuple(_cards(residents)),
            pin=access.set_pin(residents["王"], BY),
        )
        _rules(community, controllers, buildings)
        _staff(community)
    town.save(home, made)
    return made, code


def new_logins(community: Community) -> dict[str, str]:
    """Give the demo's staff new passwords; they are shown at every start and kept nowhere."""
    return {
        name: people.new_password(
            StaffProfile.objects.get(user__username=name, community=community), BY
        )
        for name in STAFF_LOGINS
    }


def resident_phone(made: Town) -> str:
    """Give Lin a telephone number to sign in by; one that somebody typed meanwhile stays."""
    lin = Holder.objects.get(pk=made.cast["林"].holder)
    if not lin.phone:
        people.change_holder(lin, BY, phone=LINS_PHONE)
    return lin.phone


def new_code(node: str) -> str | None:
    """Give a node that has never enrolled another code; None where it has."""
    found = Node.objects.get(pk=node)
    return devices.new_code(found, BY) if found.enrolled_at is None else None


def point_cameras(made: Town, sources: dict[str, str]) -> None:
    """Tell each camera where its stream is; ports may differ between starts."""
    for name, source in sources.items():
        camera = Node.objects.get(pk=made.node).devices.get(pk=made.cameras[name])
        if camera.settings["source"] != source:
            devices.change_device(camera, BY, settings={**camera.settings, "source": source})


def enrol_faces(made: Town) -> dict[str, str]:
    """Enrol those who come by face; give holder ids with the person of the pictures.

    Who is chosen has pictures that will do, as a camera at a gate has them: others would stand
    there without being let in, which is right and tells no story. The last one stays a stranger,
    under "".
    """
    able: list[tuple[faces.Person, enrol.Enrolled]] = []
    for person in faces.people():
        if len(able) > ENROLLED_FACES:
            break
        try:
            enrol.enrol(person.seen_file)
            able.append((person, enrol.enrol(person.enrolled)))
        except enrol.EnrolError:
            continue
    if not able:
        return {}
    *residents, (stranger, _) = able
    chosen = {"": stranger.name}
    holders = [made.cast["林"].holder, *(other.holder for other in made.others)]
    for (person, measured), pk in zip(residents, holders, strict=False):
        holder = Holder.objects.get(pk=pk)
        people.give_consent(holder, Purpose.FACE, BY)
        access.keep_face(holder, measured, person.enrolled, BY)
        chosen[pk] = person.name
    return chosen


def visitor_pass(made: Town) -> str:
    """Issue a QR pass for one entry today by either gate; give its text."""
    now = timezone.now()
    points = [made.controllers[name].point_in for name in ("north", "south")]
    _, text = access.issue_pass(
        Community.objects.get(pk=made.community),
        "赵",
        BY,
        not_before=now - timedelta(minutes=1),
        not_after=now + timedelta(hours=2),
        points=AccessPoint.objects.filter(pk__in=points),
        uses=1,
    )
    return text


def _residents(community: Community) -> dict[str, Holder]:
    """Take over the list of homes; give holders by name, the cast under their own."""
    rows = list(_rows())
    return {
        row.name: holder
        for row, holder in zip(rows, people.import_homes(community, rows, BY), strict=True)
    }


def _rows() -> Iterator[HomeRow]:
    yesterday = timezone.now() - timedelta(days=1)
    cast = {("1", "1-101"): "林", ("1", "1-102"): "王"}
    for number in range(HOMES):
        building, home = str(number % BUILDINGS + 1), number // BUILDINGS
        floor, room = home // HOMES_PER_FLOOR + 1, home % HOMES_PER_FLOOR + 1
        unit = f"{building}-{floor}{room:02}"
        for person in range(2 + (number * 7 % 9 > 1)):
            name = f"{unit} 住户{person + 1}"
            if person == 0:
                name = cast.get((building, unit), name)
            kind = ResidencyKind.OWNER if person == 0 else ResidencyKind.FAMILY
            yield HomeRow(building, unit, name, kind, floor)
    yield HomeRow(
        "1",
        "1-103",
        "钱",
        ResidencyKind.TENANT,
        1,
        starts_at=yesterday - timedelta(days=365),
        ends_at=yesterday,
    )


def _cast(residents: dict[str, Holder]) -> dict[str, Resident]:
    cast = {}
    for number, name in enumerate(("林", "王", "钱"), start=1):
        card = f"04A1B2{number:02X}"
        access.add_card(residents[name], card, BY)
        cast[name] = Resident(residents[name].pk, name, card)
    return cast


def _cards(residents: dict[str, Holder]) -> list[Resident]:
    """Give cards to some of the others, as many in each building."""
    others = []
    names = [name for name in residents if name not in ("林", "王", "钱")]
    for number, name in enumerate(names[: OTHERS_WITH_CARD * 3 : 3]):
        card = f"04C0{number:04X}"
        access.add_card(residents[name], card, BY)
        others.append(Resident(residents[name].pk, name, card, name.partition("-")[0]))
    return others


def _plate(holder: Holder) -> str:
    car = plates.load().resident.plate
    access.add_plate(holder, car, BY)
    return car


def _portals(
    community: Community, node: Node, buildings: dict[str, Building]
) -> dict[str, Controller]:
    court = access.add_area(community, "小区", BY)
    controllers = {}
    for key, name in (("north", "北门"), ("south", "南门")):
        portal = access.add_portal(
            community,
            name,
            BY,
            node=node,
            kind=PortalKind.TURNSTILE,
            held_open_s=HELD_OPEN_S,
            prealarm_s=PREALARM_S,
        )
        point_in = access.add_point(
            portal, f"{name}进", Direction.ENTRY, _GATE_IN, BY, area_to=court
        )
        point_out = access.add_point(
            portal, f"{name}出", Direction.EXIT, _GATE_OUT, BY, area_from=court
        )
        controllers[key] = _controller(node, f"{name}控制器", portal, point_in, point_out)
    lane = access.add_portal(
        community, "车道", BY, node=node, kind=PortalKind.BARRIER, grant_s=10.0, held_open_s=60.0
    )
    lane_in = access.add_point(
        lane,
        "车道进",
        Direction.ENTRY,
        (Method.PLATE, Method.CARD),
        BY,
        area_to=court,
    )
    lane_out = access.add_point(
        lane,
        "车道出",
        Direction.EXIT,
        (Method.PLATE, Method.EXIT_BUTTON),
        BY,
        area_from=court,
    )
    controllers["lane"] = _controller(node, "道闸控制器", lane, lane_in, lane_out)
    for number in buildings:
        lobby = access.add_area(community, f"{number}栋", BY)
        door = access.add_portal(community, f"{number}栋单元门", BY, node=node)
        inside = (Method.CARD, Method.QR)
        door_in = access.add_point(
            door, f"{number}栋进", Direction.ENTRY, inside, BY, area_from=court, area_to=lobby
        )
        door_out = access.add_point(
            door,
            f"{number}栋出",
            Direction.EXIT,
            (Method.EXIT_BUTTON,),
            BY,
            area_from=lobby,
            area_to=court,
        )
        controllers[f"door-{number}"] = _controller(
            node, f"{number}栋门控制器", door, door_in, door_out
        )
    return controllers


def _controller(
    node: Node, name: str, portal: Portal, point_in: AccessPoint, point_out: AccessPoint
) -> Controller:
    names = ("loop", "under", "arm") if portal.kind == PortalKind.BARRIER else ("door",)
    inputs = dict.fromkeys((*names, "fire"), portal.pk)
    settings = {
        "readers": {"in": point_in.pk, "out": point_out.pk},
        "inputs": inputs,
        "outputs": {"door": portal.pk},
        "buttons": {"exit": point_out.pk},
    }
    device, password = devices.add_device(node, name, "mqtt_gate", settings, BY, uses_mqtt=True)
    return Controller(device.pk, password, point_in.pk, point_out.pk, portal.pk)


def _cameras(node: Node, controllers: dict[str, Controller]) -> dict[str, str]:
    cameras = {}
    tasks = {**dict.fromkeys(town.FACES, "faces"), "lane": "plates"}
    for gate, task in tasks.items():
        path = town.FACES.get(gate, town.LANE_CAMERA)
        settings = {
            "source": f"rtsp://127.0.0.1:8554/{path}",
            "task": task,
            "point": controllers[gate].point_in,
            # What stands before these cameras are photographs, and a test for life says so.
            "liveness": False,
        }
        camera, _ = devices.add_device(node, f"{path} 摄像机", "camera", settings, BY)
        cameras[path] = camera.pk
    return cameras


def _rules(
    community: Community, controllers: dict[str, Controller], buildings: dict[str, Building]
) -> None:
    def points(*names: str) -> list[AccessPoint]:
        chosen = [controllers[name].point_in for name in names]
        return list(AccessPoint.objects.filter(pk__in=chosen))

    everybody = [community_group(community.pk), STAFF]
    access.add_rule(community, "住户进小区", everybody, points("north", "south", "lane"), BY)
    access.add_rule(community, "访客进小区", [VISITORS], points("north", "south"), BY)
    for number, building in buildings.items():
        group = [building_group(building.pk)]
        access.add_rule(community, f"{number}栋住户", group, points(f"door-{number}"), BY)


def _staff(community: Community) -> None:
    for username, (role, name) in STAFF_LOGINS.items():
        people.register_holder(community, name, BY, kind=HolderKind.STAFF)
        people.add_staff(community, username, role, BY, name=name)
