"""That no face keeps equal access: what every access point accepts beside face and phone."""

from __future__ import annotations

from dataclasses import dataclass

from anlin.core.entities import Direction, Method
from anlin.hub.access.models import AccessPoint
from anlin.hub.people.models import Community

FACES = frozenset({Method.FACE.value, Method.TERMINAL_FACE.value})

PLAIN = frozenset(
    {Method.CARD.value, Method.SECURE_CARD.value, Method.PIN.value, Method.EXIT_BUTTON.value}
)
"""Neither face nor phone: what who has neither can use. A QR code may be printed, but is mostly
shown on a phone, so it is not counted here; a plate opens for a car, not for a person."""

LEAST_METHODS = 2


@dataclass(frozen=True, slots=True)
class PointCheck:
    """One access point: what it accepts, and what is missing, if anything."""

    point: AccessPoint
    methods: tuple[str, ...]
    is_way_out: bool
    is_for_cars: bool
    is_face_alone: bool
    """Face is the only way: the law forbids it."""
    is_equal: bool
    """At least two ways, one of them neither face nor phone."""


def check_points(community: Community) -> list[PointCheck]:
    """Check every access point that is in use, the worst first."""
    points = AccessPoint.objects.filter(portal__community=community, is_enabled=True)
    found = [check(point) for point in points.select_related("portal").order_by("name")]
    return sorted(found, key=lambda one: (not one.is_face_alone, one.is_equal))


def check(point: AccessPoint) -> PointCheck:
    """Check one access point.

    A way out opens without any credential (regulations on fire), and a lane for cars is no way for
    a person: both are shown, and neither can be a fault.
    """
    methods = tuple(str(method) for method in point.methods)
    asked = set(methods) - {Method.EXIT_BUTTON.value}
    is_way_out = point.direction == Direction.EXIT.value and not asked
    is_for_cars = Method.PLATE.value in methods
    is_face_alone = bool(asked) and asked <= FACES
    is_enough = len(set(methods)) >= LEAST_METHODS and bool(set(methods) & PLAIN)
    return PointCheck(
        point,
        methods,
        is_way_out,
        is_for_cars,
        is_face_alone,
        not is_face_alone and (is_way_out or is_enough),
    )
