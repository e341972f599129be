"""The impact assessment (PIPL articles 55 and 56), written from what is really set up.

What a version says is stored as facts and rendered anew for each language; the facts of old
versions are never touched. The settings among them have a fingerprint: another one means that
something material has changed since, and that the assessment is to be made again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import Method
from anlin.hub.access.models import AccessPoint, Credential, FaceTemplate
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.devices.models import DeviceState
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Consent, Purpose, StaffProfile
from anlin.hub.privacy import retention
from anlin.hub.privacy.faces import has_face_function, lookers, stored_persons
from anlin.hub.privacy.models import Assessment
from anlin.hub.privacy.points import FACES, check_points

REMARK_CHARS = 4000


def settings_now(community: Community) -> dict[str, Any]:
    """Give what is set up now, as far as an assessment rests on it; no counts, no names."""
    points = AccessPoint.objects.filter(portal__community=community, is_enabled=True)
    states = DeviceState.objects.filter(device__node__community=community)
    models = {
        str(name): str(value)
        for state in states
        for name, value in (state.vision_models or {}).items()
    }
    checks = check_points(community)
    return {
        "notice": community.face_notice_version,
        "face_points": sorted(
            point.name for point in points if FACES & {str(method) for method in point.methods}
        ),
        "points": points.count(),
        "face_alone": sorted(one.point.name for one in checks if one.is_face_alone),
        "not_equal": sorted(one.point.name for one in checks if not one.is_equal),
        "models": models,
        "template_models": sorted(
            FaceTemplate.objects.filter(credential__community=community)
            .values_list("model", flat=True)
            .distinct()
        ),
        "cameras": [
            {
                "name": device.name,
                "faces": has_face_function(device),
                "area": str(getattr(getattr(device, "site", None), "area", "")),
            }
            for device in lookers(community)
        ],
        "retention_h": {
            kind: retention.limit_h(community, rule) for kind, rule in retention.RULES.items()
        },
        "processor": retention.settings_of(community).processor,
        "contact": retention.settings_of(community).contact,
    }


def facts_now(community: Community) -> dict[str, Any]:
    """Give the settings and the counts of today."""
    faces = Credential.objects.filter(community=community, method=Method.FACE.value)
    roles: dict[str, int] = {}
    for role in StaffProfile.objects.filter(community=community, user__is_active=True).values_list(
        "role", flat=True
    ):
        roles[role] = roles.get(role, 0) + 1
    return {
        "settings": settings_now(community),
        "counts": {
            "holders": community.holders.count(),
            "faces": faces.exclude(status="revoked").values("holder").distinct().count(),
            "faces_everywhere": stored_persons(),
            "consents": Consent.objects.filter(
                holder__community=community, purpose=Purpose.FACE, withdrawn_at=None
            ).count(),
            "withdrawn": Consent.objects.filter(
                holder__community=community, purpose=Purpose.FACE, withdrawn_at__isnull=False
            ).count(),
            "photos": Consent.objects.filter(
                holder__community=community, purpose=Purpose.PHOTO, withdrawn_at=None
            ).count(),
            "under_guardian": Consent.objects.filter(holder__community=community, withdrawn_at=None)
            .exclude(relation="")
            .count(),
            "nodes": community.nodes.count(),
        },
        "roles": roles,
    }


def fingerprint(settings: dict[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make(community: Community, remarks: str, by: Actor) -> Assessment:
    """Make the next version of the assessment from what is set up now.

    Raises:
        RuleError: the remarks are too long.
    """
    if len(remarks) > REMARK_CHARS:
        raise RuleError(_("At most %(n)d characters.") % {"n": REMARK_CHARS}, "remarks")
    facts = facts_now(community)
    with transaction.atomic():
        # One at a time: versions are numbered without a hole.
        Community.objects.select_for_update().get(pk=community.pk)
        last = Assessment.objects.filter(community=community).aggregate(last=Max("number"))["last"]
        row = Assessment.objects.create(
            community=community,
            number=(last or 0) + 1,
            made_at=timezone.now(),
            made_by=by.name,
            facts=facts,
            fingerprint=fingerprint(facts["settings"]),
            remarks=remarks.strip(),
        )
        created(by, community, row, action="make assessment")
    return row


def approve(row: Assessment, by: Actor) -> None:
    """Approve a version, by a named person."""
    with transaction.atomic(), changing(by, row.community, row, "approve assessment"):
        row.approved_at = row.approved_at or timezone.now()
        row.approved_by = row.approved_by or by.name


def newest(community: Community) -> Assessment | None:
    """Give the newest version, or None where none was made."""
    return Assessment.objects.filter(community=community).order_by("-number").first()


def changed_since(row: Assessment) -> list[str]:
    """Name the settings that differ from what an assessment rests on."""
    now = settings_now(row.community)
    then = row.facts.get("settings", {})
    return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
