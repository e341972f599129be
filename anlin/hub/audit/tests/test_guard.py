"""Rows of the logs are only ever added."""

from __future__ import annotations

import io

import pytest
from django.db import DatabaseError, connection, transaction
from PIL import Image, ImageChops

from anlin.hub.access import services as access
from anlin.hub.audit import services, watermark
from anlin.hub.audit.guard import RULE, raise_guard, rewriting
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.audit.models import Change, Rewriting, View
from anlin.hub.conftest import Cast

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")


@pytest.mark.parametrize(
    "do",
    [
        lambda: Change.objects.update(who="nobody"),
        lambda: Change.objects.all().delete(),
        lambda: View.objects.update(who="nobody"),
        lambda: View.objects.all().delete(),
        lambda: connection.cursor().execute("DELETE FROM audit_change"),
    ],
)
def test_the_database_refuses_to_change_or_remove_a_line(cast: Cast, do: object) -> None:
    viewed(BY, cast.community, "holder", [cast.lin.pk])
    before = Change.objects.count()
    with pytest.raises(DatabaseError, match=RULE), transaction.atomic():
        do()  # type: ignore[operator]
    assert Change.objects.count() == before
    assert not Change.objects.filter(who="nobody").exists()


def test_what_the_law_takes_out_is_written_in_a_book_that_stays(cast: Cast) -> None:
    with rewriting("meng", "a person is forgotten"):
        Change.objects.filter(object_id=cast.lin.pk).update(before=None, after=None)
    line = Rewriting.objects.get()
    assert (line.who, line.why, line.is_open) == ("meng", "a person is forgotten", False)
    for do in (
        lambda: Change.objects.update(who="nobody"),
        lambda: Rewriting.objects.update(is_open=True),
        lambda: Rewriting.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            do()


def test_a_failure_inside_leaves_the_guard_up(cast: Cast) -> None:
    with pytest.raises(ZeroDivisionError), rewriting("meng", "test"):
        1 / 0  # noqa: B018
    assert not Rewriting.objects.exists()
    with pytest.raises(DatabaseError), transaction.atomic():
        Change.objects.update(who="nobody")


def test_the_guard_may_be_raised_twice(cast: Cast) -> None:
    raise_guard()
    with pytest.raises(DatabaseError), transaction.atomic():
        Change.objects.update(who="nobody")


def test_who_looked_at_a_holder_and_not_at_the_neighbour(cast: Cast) -> None:
    card = access.add_card(cast.lin, "04A1B2C3D4", BY)
    viewed(Actor.staff(cast.guo, BY.via), cast.community, "holder", [cast.lin.pk], "parcel")
    viewed(BY, cast.community, "credential", [card.pk])
    viewed(BY, cast.community, "watch entry", [cast.lin.pk])
    viewed(BY, cast.community, "holder", [cast.wang.pk])
    found = [(one.who, one.what, one.purpose) for one in services.looks_at(cast.lin)]
    assert found == [("test", "credential", ""), ("guo", "holder", "parcel")]


def _grey(side: int = 240) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "#808080").save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.mark.parametrize("side", [40, 240, 1200])
def test_the_watermark_is_drawn_over_each_third_of_a_picture(side: int) -> None:
    plain = _grey(side)
    made = watermark.drawn(plain, Actor.command("guo"), "event 1")
    with Image.open(io.BytesIO(made)) as after, Image.open(io.BytesIO(plain)) as before:
        assert after.format == "JPEG"
        assert after.size == (side, side)
        box = ImageChops.difference(after.convert("RGB"), before.convert("RGB"))
        for top in range(3):
            third = box.crop((0, top * side // 3, side, (top + 1) * side // 3))
            assert max(third.tobytes()) > 40


def test_the_line_says_who_when_and_what_for() -> None:
    line = watermark.line(Actor.command("guo"), "police request 12")
    assert line.startswith("guo · 20")
    assert "police request 12" in line
    assert watermark._plain("郭") == "u90ed"
