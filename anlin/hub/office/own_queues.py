"""The queues that belong to no other app."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import HolderKind, Method, Status
from anlin.hub.access.models import Credential, FaceTemplate
from anlin.hub.devices.models import Node
from anlin.hub.office.queues import MOST_ROWS, Item, Queue, Waiting, register
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Identity,
    Proven,
    Residency,
    ResidencyKind,
    StaffProfile,
    Unit,
    in_force,
)
from anlin.hub.permissions import holders_in_scope, units_in_scope
from anlin.hub.state.models import DeviceTable

SOON = timedelta(days=30)
"""Time enough to ask a tenant, and a landlord, whether the lease goes on."""


def _person(holder: Holder) -> str:
    return reverse("people:holder", args=[holder.pk])


def _refused_photos(staff: StaffProfile, now: datetime) -> Waiting:
    tables = [table for table in _tables(staff) if table.refused]
    count = sum(len(table.refused) for table in tables)
    return Waiting(count, min((table.since for table in tables), default=None))


def _not_deleted(staff: StaffProfile, now: datetime) -> Waiting:
    tables = [table for table in _tables(staff) if table.surplus]
    return Waiting(len(tables), min((table.since for table in tables), default=None))


def _tables(staff: StaffProfile) -> Sequence[DeviceTable]:
    return list(DeviceTable.objects.filter(device__node__community=staff.community_id))


def _missing(staff: StaffProfile) -> QuerySet[Credential]:
    """Select the faces that some enrolled node has no template of."""
    nodes = Node.objects.filter(community=staff.community_id).exclude(public_key="").count()
    faces = (
        Credential.objects.filter(
            community=staff.community_id,
            method=Method.FACE.value,
            holder__in=holders_in_scope(staff),
            holder__status=HolderStatus.ACTIVE,
        )
        .exclude(status=Status.REVOKED.value)
        .annotate(known=Count("templates", distinct=True))
    )
    return faces.filter(known__lt=nodes)


def _faces(staff: StaffProfile, now: datetime) -> Waiting:
    found = _missing(staff)
    return Waiting(found.count(), found.aggregate(oldest=Min("created_at"))["oldest"])


def _face_rows(staff: StaffProfile, now: datetime) -> Sequence[Item]:
    nodes = dict(
        Node.objects.filter(community=staff.community_id)
        .exclude(public_key="")
        .values_list("pk", "name")
    )
    faces = list(_missing(staff).select_related("holder").order_by("created_at")[:MOST_ROWS])
    known: dict[str, set[str]] = {}
    rows = FaceTemplate.objects.filter(credential__in=faces)
    for credential, node in rows.values_list("credential_id", "node_id"):
        known.setdefault(credential, set()).add(node)
    return [
        Item(
            face.holder.name,
            _("not known at %(places)s")
            % {
                "places": ", ".join(
                    name for pk, name in nodes.items() if pk not in known.get(face.pk, set())
                )
            },
            _person(face.holder),
            face.created_at,
        )
        for face in faces
    ]


def _leases(staff: StaffProfile, now: datetime) -> QuerySet[Residency]:
    return Residency.objects.filter(
        unit__in=units_in_scope(staff),
        kind=ResidencyKind.TENANT,
        ends_at__gt=now,
        ends_at__lte=now + SOON,
        holder__status=HolderStatus.ACTIVE,
    )


def _ending(staff: StaffProfile, now: datetime) -> Waiting:
    found = _leases(staff, now)
    return Waiting(found.count(), found.aggregate(first=Min("ends_at"))["first"])


def _lease_rows(staff: StaffProfile, now: datetime) -> Sequence[Item]:
    found = _leases(staff, now).select_related("holder", "unit").order_by("ends_at")
    return [
        Item(lease.holder.name, lease.unit.code, _person(lease.holder), lease.ends_at)
        for lease in found[:MOST_ROWS]
    ]


def _unproven(staff: StaffProfile, now: datetime) -> QuerySet[Holder]:
    proven = Identity.objects.filter(holder=OuterRef("pk")).exclude(proven=Proven.NOT)
    here = Residency.objects.filter(in_force(now), holder=OuterRef("pk"))
    return holders_in_scope(staff).filter(
        Exists(here),
        ~Exists(proven),
        kind=HolderKind.RESIDENT.value,
        status=HolderStatus.ACTIVE,
    )


def _identities(staff: StaffProfile, now: datetime) -> Waiting:
    found = _unproven(staff, now)
    return Waiting(found.count(), found.aggregate(oldest=Min("created_at"))["oldest"])


def _identity_rows(staff: StaffProfile, now: datetime) -> Sequence[Item]:
    found = _unproven(staff, now).order_by("created_at", "pk").prefetch_related("residencies__unit")
    return [
        Item(
            holder.name,
            ", ".join(sorted({home.unit.code for home in holder.residencies.all()})),
            _person(holder),
            holder.created_at,
        )
        for holder in found[:MOST_ROWS]
    ]


def _full(staff: StaffProfile, now: datetime) -> QuerySet[Unit]:
    living = Q(residencies__holder__status=HolderStatus.ACTIVE) & (
        (Q(residencies__starts_at=None) | Q(residencies__starts_at__lte=now))
        & (Q(residencies__ends_at=None) | Q(residencies__ends_at__gt=now))
    )
    homes = units_in_scope(staff).filter(area_m2__isnull=False)
    counted = homes.annotate(living=Count("residencies__holder", filter=living, distinct=True))
    return counted.filter(
        living__gt=0, area_m2__lt=F("living") * float(staff.community.least_area_m2)
    )


def _crowded(staff: StaffProfile, now: datetime) -> Waiting:
    return Waiting(_full(staff, now).count())


def _crowded_rows(staff: StaffProfile, now: datetime) -> Sequence[Item]:
    found = _full(staff, now).select_related("building").order_by("code")[:MOST_ROWS]
    return [
        Item(
            unit.code,
            _("%(living)d people on %(area)s m²") % {"living": unit.living, "area": unit.area_m2},  # type: ignore[attr-defined]
            f"{reverse('office:search')}?q={unit.code}",
        )
        for unit in found
    ]


for one in (
    Queue(
        "devices",
        gettext_lazy("Devices that did not confirm a deletion"),
        "warning",
        _not_deleted,
        url="state:tables",
        help=gettext_lazy("Somebody whose right was taken back may still pass there."),
    ),
    Queue(
        "photos",
        gettext_lazy("Rejected photographs"),
        "face",
        _refused_photos,
        url="state:tables",
        help=gettext_lazy("A terminal did not take them: a new picture is needed."),
    ),
    Queue(
        "faces",
        gettext_lazy("Faces missing at an edge"),
        "camera",
        _faces,
        rows=_face_rows,
        help=gettext_lazy("They were enrolled before it came: they have to be taken once more."),
    ),
    Queue(
        "leases",
        gettext_lazy("Leases that end within 30 days"),
        "calendar",
        _ending,
        rows=_lease_rows,
        help=gettext_lazy("Access ends by itself on the day; ask whether the lease goes on."),
        is_due=True,
    ),
    Queue(
        "identities",
        gettext_lazy("Identities that nobody has proven"),
        "person",
        _identities,
        rows=_identity_rows,
    ),
    Queue(
        "crowded",
        gettext_lazy("Overcrowded homes"),
        "home",
        _crowded,
        rows=_crowded_rows,
        help=gettext_lazy("Less area for each person than the community's minimum."),
    ),
):
    register(one)
