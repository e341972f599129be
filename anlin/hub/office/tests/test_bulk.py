from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from anlin.hub.access.models import VisitorPass
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import SignIn, World
from anlin.hub.errors import RuleError
from anlin.hub.office import bulk, jobs, queues
from anlin.hub.office.models import Job, JobState
from anlin.hub.office.tests.conftest import worked
from anlin.hub.people import services as people
from anlin.hub.people.models import Building, Holder, ResidencyKind, StaffProfile, Unit
from anlin.hub.state.models import DeviceTable

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def previewed(
    meng: StaffProfile, by: Actor, action: bulk.Action, choice: bulk.Choice | None = None
) -> Job:
    return bulk.preview(meng, action, choice or bulk.Choice(), 7, "换卡", by)


def agreed(job: Job, by: Actor) -> Job:
    assert bulk.confirm(job, bulk.token_of(job), by)
    return worked(job)


def test_a_preview_names_everybody_and_does_nothing(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    job = previewed(meng, by, bulk.Action.SUSPEND)
    assert [row.holder.name for row in bulk.affected(job)] == ["林安", "王宁", "钱远"]
    assert not Holder.objects.filter(status="suspended").exists()
    assert View.objects.filter(what="bulk preview").count() == 3


def test_suspending_and_letting_in_again_is_done_once(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    job = previewed(meng, by, bulk.Action.SUSPEND, bulk.Choice(lease="ended"))
    token = bulk.token_of(job)
    done = agreed(job, by)
    assert (done.state, done.counts) == (JobState.DONE, {"done": 1, "left": 0})
    qian = world.people["qian"]
    qian.refresh_from_db()
    assert qian.status == "suspended"
    people.resume_holder(qian, by)
    assert not bulk.confirm(done, token, by)
    assert not bulk.confirm(job, token, by)
    qian.refresh_from_db()
    assert qian.status == "active"


def test_a_yes_counts_for_its_own_preview_only_and_not_for_ever(
    world: World, meng: StaffProfile, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = previewed(meng, by, bulk.Action.SUSPEND)
    other = previewed(meng, by, bulk.Action.SUSPEND)
    for token in ("", "x", bulk.token_of(other)):
        with pytest.raises(RuleError):
            bulk.confirm(one, token, by)
    token = bulk.token_of(one)
    monkeypatch.setattr(bulk, "TOKEN_AGE", timedelta(seconds=-1))
    with pytest.raises(RuleError):
        bulk.confirm(one, token, by)


def test_only_what_was_shown_is_done_and_what_changed_meanwhile_is_left_out(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    lin, qian = world.people["lin"], world.people["qian"]
    job = previewed(meng, by, bulk.Action.REVOKE_CARDS)
    assert {row.holder.name for row in bulk.affected(job)} == {"林安", "钱远"}
    from anlin.hub.access import services as access

    access.revoke_credential(qian.credentials.get(method="card"), by)
    access.add_card(lin, "0455667788", by)
    done = agreed(job, by)
    assert done.counts == {"done": 1, "left": 1}
    states = dict(lin.credentials.filter(method="card").values_list("key", "status"))
    assert states == {"04A1B2C3D4": "revoked", "0455667788": "active"}


def test_leases_end_now_and_owners_stay(world: World, meng: StaffProfile, by: Actor) -> None:
    unit = Unit.objects.get(code="1-102")
    ends = timezone.now() + timedelta(days=10)
    tenant = people.register_holder(
        world.community, "赵租", by, unit=unit, residency=ResidencyKind.TENANT, ends_at=ends
    )
    agreed(previewed(meng, by, bulk.Action.END_LEASES, bulk.Choice(lease="ending")), by)
    home = tenant.residencies.get()
    assert home.ends_at is not None
    assert home.ends_at <= timezone.now()
    assert world.people["lin"].residencies.get().ends_at is None


def test_people_out_of_scope_are_not_chosen(world: World, meng: StaffProfile, by: Actor) -> None:
    other = people.add_building(world.community, "2 号楼", by)
    unit = people.add_unit(other, "2-101", by)
    people.register_holder(world.community, "孟远", by, unit=unit)
    meng.buildings.add(other)
    bound = StaffProfile.objects.get(pk=meng.pk)
    found = bulk.chosen(bound, bulk.Choice(), timezone.now())
    assert [holder.name for holder in found] == ["孟远"]
    first = Building.objects.get(name="1 号楼").pk
    assert not bulk.chosen(bound, bulk.Choice(building=first), timezone.now())


def test_who_has_nothing_to_open_with_is_found(world: World, meng: StaffProfile, by: Actor) -> None:
    found = bulk.chosen(meng, bulk.Choice(holds="nothing"), timezone.now())
    assert [holder.name for holder in found] == ["王宁"]


def test_passes_are_printed_with_name_place_time_and_who_printed_them(
    world: World, sign_in: SignIn
) -> None:
    browser = sign_in("meng")
    asked = {"action": "passes", "holds": "nothing", "days": "3", "reason": "新卡未到"}
    answer = browser.post("/office/bulk", asked)
    shown = browser.get(answer["Location"]).content.decode()
    assert "王宁" in shown
    assert "gets a pass for 3 days" in shown
    token = re.search(r'name="token" value="([^"]+)"', shown)
    assert token is not None
    for _press in range(2):
        browser.post(f"{answer['Location']}/yes", {"token": token[1]})
    job = worked(Job.objects.get())
    leave = VisitorPass.objects.get()
    assert leave.holder.name == "王宁"
    assert "Sheets to print" in browser.get(answer["Location"]).content.decode()
    sheet = browser.get(f"{answer['Location']}/passes").content.decode()
    assert sheet.count("<article") == 1
    assert "王宁" in sheet
    assert "<svg" in sheet
    assert "新卡未到" in sheet
    assert "meng" in sheet
    assert View.objects.filter(what="pass sheet", object_id=job.pk).exists()
    assert jobs.looked_at(job, timezone.now()).state == JobState.DONE


def test_a_choice_that_concerns_nobody_is_told_in_words(world: World, sign_in: SignIn) -> None:
    browser = sign_in("meng")
    answer = browser.post("/office/bulk", {"action": "resume", "reason": "换卡"})
    assert answer.status_code == 422
    assert "Nobody here would be affected by that." in answer.content.decode()
    answer = browser.post("/office/bulk", {"action": "fly", "reason": "x"})
    assert answer.status_code == 422


def test_queues_count_what_waits_and_lead_to_it(world: World, sign_in: SignIn, by: Actor) -> None:
    unit = Unit.objects.get(code="1-102")
    unit.area_m2 = 9
    unit.save()
    soon = timezone.now() + timedelta(days=10)
    people.register_holder(
        world.community, "赵租", by, unit=unit, residency=ResidencyKind.TENANT, ends_at=soon
    )
    DeviceTable.objects.create(
        device=world.camera,
        kind="table_behind",
        surplus=2,
        refused=[["cr_x", "too dark"]],
        since=timezone.now(),
    )
    counts = {
        queue.key: queue.look(world.staff["meng"], timezone.now()).count
        for queue in queues.queues_for("manager")
    }
    ours = {key: counts[key] for key in ("devices", "photos", "faces", "leases", "crowded")}
    assert ours == {"devices": 1, "photos": 1, "faces": 0, "leases": 1, "crowded": 1}
    assert counts["identities"] == 3
    browser = sign_in("meng")
    shown = browser.get("/office/queues").content.decode()
    assert "Leases that end within 30 days" in shown
    for key, text in (
        ("leases", "赵租"),
        ("crowded", "2 people on 9.00 m²"),
        ("identities", "林安"),
    ):
        assert text in browser.get(f"/office/queues/{key}").content.decode()
    assert browser.get("/office/queues/photos").status_code == 404
    assert browser.get("/office/queues/nothing").status_code == 404


def test_a_queue_that_leads_nowhere_is_refused() -> None:
    look: Any = None
    with pytest.raises(ValueError, match="needs a page"):
        queues.register(queues.Queue("nowhere", "x", "home", look))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another app"):
        queues.register(
            queues.Queue("leases", "x", "home", look, url="office:home")  # type: ignore[arg-type]
        )
