"""A deleted person is gone from every table, and from the bytes of both databases."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.hub.access import services as access
from anlin.hub.access.models import Credential, PolicyChange
from anlin.hub.audit.log import viewed
from anlin.hub.audit.models import Change, View
from anlin.hub.conftest import run_manage
from anlin.hub.console.tests.world import BY, World
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event, Picture
from anlin.hub.events.pictures import path_of
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder
from anlin.hub.privacy import erase, forget
from anlin.hub.privacy.subjects import ELSEWHERE, holdings
from anlin.hub.state.models import Presence

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def gone(world: World, name: str) -> Holder:
    """Let somebody move out, so that they may be deleted."""
    person = world.people[name]
    people.move_out(person, BY, at=timezone.now() - timedelta(seconds=1))
    return person


def test_who_lives_here_is_not_deleted(world: World) -> None:
    with pytest.raises(RuleError, match=r"lives here|住"):
        erase.erase(world.people["lin"], BY, "dr_test")
    assert Holder.objects.filter(pk=world.people["lin"].pk).exists()


def test_while_a_pass_would_still_be_valid_its_revocation_stays(world: World) -> None:
    lin = gone(world, "lin")
    now = timezone.now()
    until = now + timedelta(hours=2)
    leave, _text = access.issue_pass(world.community, lin, BY, not_before=now, not_after=until)
    access.revoke_pass(leave, BY)
    with pytest.raises(RuleError):
        erase.erase(lin, BY, "dr_test")
    assert PolicyChange.objects.filter(
        kind="revoked_pass", entity=leave.pk, replaced_by=None, data__isnull=False
    ).exists()


def test_a_deleted_person_leaves_decisions_without_a_name(world: World) -> None:
    lin = world.people["lin"]
    picture = world.picture(3)
    passage = world.passed("lin", "east", Method.CARD, value="04A1B2C3D4", picture=picture)
    refused = world.refused(
        "nobody", "east", Method.CARD, Reason.CREDENTIAL_UNKNOWN, value="04A1B2C3D4"
    )
    other = world.passed("wang", "east", Method.CARD, companion={"holder": lin.pk, "label": "林"})
    viewed(BY, world.community, "holder", [lin.pk], "test")
    credentials = list(lin.credentials.values_list("pk", flat=True))
    gone(world, "lin")
    erase.erase(lin, BY, "dr_test")

    passage.refresh_from_db()
    assert passage.data == {
        "reason": "granted",
        "method": "card",
        "point": world.points["east"].pk,
        "portal": world.portals["east"].pk,
        "latency_ms": 6.4,
        "forgotten": "dr_test",
    }
    refused.refresh_from_db()
    assert "value" not in refused.data
    other.refresh_from_db()
    assert other.data["holder"] == world.people["wang"].pk
    assert "companion" not in other.data
    assert not path_of(picture.removesuffix(".jpg")).exists()
    assert not Picture.objects.exists()
    assert not Holder.objects.filter(pk=lin.pk).exists()
    assert not Credential.objects.filter(pk__in=credentials).exists()
    assert not View.objects.filter(object_id=lin.pk).exists()
    assert not Presence.objects.filter(holder=lin.pk).exists()
    for change in Change.objects.filter(object_id__in=[lin.pk, *credentials]):
        assert change.before is None
        assert change.after in ({"forgotten": True}, None)
    # Edges are told: what stands now of the person in the policy is that they are gone.
    assert not PolicyChange.objects.filter(
        entity__in=[lin.pk, *credentials], data__isnull=False
    ).exists()
    assert PolicyChange.objects.filter(entity=lin.pk, data__isnull=True, replaced_by=None).exists()


def test_deleting_one_person_leaves_the_neighbour_whole(world: World) -> None:
    wang = world.people["wang"]
    passage = world.passed("wang", "east", Method.CARD)
    gone(world, "lin")
    erase.erase(world.people["lin"], BY, "dr_test")
    before = dict(passage.data)
    passage.refresh_from_db()
    assert passage.data == before
    wang.refresh_from_db()
    assert wang.name == "王宁"
    assert Change.objects.filter(object_id=wang.pk, after__name="王宁").exists()


def test_the_edge_may_send_again_what_was_forgotten(world: World) -> None:
    from anlin.core.codec import to_data
    from anlin.core.event import GENESIS, Draft, EventKind, chain
    from anlin.hub.events.models import Quarantine
    from anlin.hub.events.store import commit

    lin = world.people["lin"]
    data = {"holder": lin.pk, "reason": "granted", "method": "card"}
    draft = Draft(EventKind.ACCESS_GRANTED, world.points["east"].pk, timezone.now(), data)
    event = chain(draft, world.node.pk, 1, 1, GENESIS)
    commit(world.node, [to_data(event)], timezone.now())
    gone(world, "lin")
    erase.erase(lin, BY, "dr_test")
    answer = commit(world.node, [to_data(event)], timezone.now())
    assert answer.seq == 1
    assert not answer.refused
    assert not Quarantine.objects.exists()
    assert lin.pk not in json.dumps(Event.objects.get().data)


def test_every_way_to_a_person_is_known_to_the_registry() -> None:
    """Walk all tables: whoever adds one about people has to say here how it is shown and ends."""
    persons: set[type[models.Model]] = {Holder, User}
    edges: set[tuple[str, str]] = set()
    grew = True
    while grew:
        grew = False
        for table in apps.get_models(include_auto_created=False):
            for field in (*table._meta.fields, *table._meta.many_to_many):
                if field.related_model not in persons:
                    continue
                name = f"{table._meta.app_label}.{table.__name__}"
                edges.add((name, field.name))
                if f"{name}.{field.name}" not in ELSEWHERE and table not in persons:
                    persons.add(table)
                    grew = True
    covered = {(one.model, one.path.split("__")[0]) for one in holdings()}
    unknown = {
        f"{model}.{name}" for model, name in edges - covered if f"{model}.{name}" not in ELSEWHERE
    }
    assert len(edges) > 10
    assert unknown == set()


def test_every_holding_can_be_read_and_names_fields_that_exist(world: World) -> None:
    for one in holdings():
        rows = one.rows(world.people["lin"])
        list(rows)
        names = {field.name for field in rows.model._meta.get_fields()}
        names |= {getattr(field, "attname", "") for field in rows.model._meta.get_fields()}
        assert set(one.only) <= names, one
        assert set(one.blank) <= names, one


_STORY = """
import hashlib, json, sys
from datetime import timedelta
from django.utils import timezone
from anlin.core.codec import to_data
from anlin.core.event import GENESIS, Draft, EventKind, chain
from anlin.core.entities import Direction, Method
from anlin.hub.access import services as access
from anlin.hub.access.models import FaceTemplate, Photo, Credential
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, created, viewed
from anlin.hub.devices import services as devices
from anlin.hub.events import pictures
from anlin.hub.events.store import commit
from anlin.hub.events.fold import fold
from anlin.hub.people import services as people
from anlin.hub.people.models import Consent, Document, Identity, Purpose
from anlin.hub.privacy.erase import erase, checkpoint
from anlin.wire import keys
by = Actor.command("test")
c = people.create_community("c", by)
node, _ = devices.create_node(c, "n", by)
node.public_key = keys.public_sealing_key(keys.new_sealing_key()); node.save()
home = people.add_unit(people.add_building(c, "b", by), "1-101", by)
p = people.register_holder(c, NAME, by, unit=home, phone=PHONE, greeting=GREETING, note=NAME)
Identity.objects.create(holder=p, document=Document.ID_CARD, number=NUMBER)
created(by, c, p.identity)
access.add_card(p, CARD, by)
access.add_plate(p, PLATE, by)
people.give_consent(p, Purpose.FACE, by)
people.give_consent(p, Purpose.PHOTO, by)
face = Credential.objects.create(community=c, holder=p, method="face", key="x")
FaceTemplate.objects.create(credential=face, node=node, model="m", sealed=TEMPLATE)
Photo.objects.create(credential=face, closed=PHOTO)
publish(c, credential=[face.pk], template=[face.pk])
c.refresh_from_db()
data = {"holder": p.pk, "label": GREETING, "value": CARD, "method": "card", "reason": "granted"}
last = GENESIS
for seq in range(1, 400):
    e = chain(Draft(EventKind.ACCESS_GRANTED, "ap_x", timezone.now(), data), node.pk, 1, seq, last)
    last = e.hash
    commit(node, [to_data(e)], timezone.now())
fold()
viewed(by, c, "holder", [p.pk], "look at " + p.pk)
people.change_holder(p, by, name=NAME + "2")
people.change_holder(p, by, name=NAME)
if ERASE:
    people.move_out(p, by, at=timezone.now() - timedelta(seconds=1))
    print(json.dumps(erase(p, by, "dr_x")))
else:
    checkpoint()
"""


def _needles() -> dict[str, str]:
    return {
        "NAME": "欧阳晨曦",
        "PHONE": "13912345678",
        "NUMBER": "190101199003071238",
        "GREETING": "欧阳女士好",
        "CARD": "0CAFEBABE1",
        "PLATE": "京A7K8M9",
        "TEMPLATE": "c2VhbGVkLXRlbXBsYXRlLW9mLW95",
    }


def _bytes_of(home: Path) -> bytes:
    files = [path for path in (home / "hub").rglob("*") if path.is_file()]
    assert any(path.name == "events.sqlite3" for path in files)
    return b"\n".join(path.read_bytes() for path in files)


@pytest.mark.e2e
@pytest.mark.parametrize("is_erased", [False, True], ids=["before", "after"])
def test_the_bytes_of_the_databases_hold_nothing_of_a_deleted_person(
    tmp_path: Path, is_erased: bool
) -> None:
    needles = _needles()
    values = "\n".join(f"{name} = {value!r}" for name, value in needles.items())
    photo = b"\xff\xd8\xffPHOTO-OF-OY-0123456789"
    head = f"{values}\nPHOTO = {photo!r}\nERASE = {is_erased}\n"
    run_manage(tmp_path, "prepare")
    run_manage(tmp_path, "shell", "-v", "0", "-c", head + _STORY)
    found = _bytes_of(tmp_path)
    forms = {
        name: (value.encode(), json.dumps(value)[1:-1].encode()) for name, value in needles.items()
    }
    left = {name for name, texts in forms.items() if any(text in found for text in texts)}
    if photo in found:
        left.add("PHOTO")
    if is_erased:
        assert left == set()
    else:
        # Without the deletion the search does find what stands in the clear; telephone and
        # number never do.
        assert left == {"NAME", "GREETING", "CARD", "PLATE", "TEMPLATE", "PHOTO"}


def test_a_forgotten_decision_can_be_opened_and_is_not_decided_again(world: World) -> None:
    from anlin.hub.explain.services import explained

    passage = world.passed("lin", "east", Method.CARD, value="04A1B2C3D4")
    forget.forget([passage], "rr_x")
    passage.refresh_from_db()
    shown = explained(passage, world.community)
    assert shown is not None
    assert not shown.is_again
