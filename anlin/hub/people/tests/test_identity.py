"""Who somebody is. The place 190101 is given to nobody, so no number here is a person's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.db import connection
from django.utils import translation
from pytest_django import Settings

from anlin.hub.audit.models import Change, View
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import identity as identities
from anlin.hub.people.models import Category, Document, Identity, Proven
from anlin.hub.people.readers import read_line
from anlin.hub.people.verifiers import HttpVerifier, VerifierError, verifier

pytestmark = pytest.mark.django_db

LINS = "190101199003071238"
OTHERS = "19010119900307018X"
TODAY = date(2026, 11, 21)


def record(cast: Cast) -> Identity:
    return identities.record_identity(
        cast.lin, Document.ID_CARD, LINS, BY, category=Category.REGISTERED
    )


def test_a_number_stands_closed_and_is_found_whole(cast: Cast) -> None:
    found = record(cast)
    assert found.born_on == date(1990, 3, 7)
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, number_index FROM people_identity")
        assert "1990" not in str(cursor.fetchone())
    lines = json.dumps(list(Change.objects.values("before", "after")))
    assert LINS not in lines
    by_number = identities.find_by_number(
        cast.community.pk, Document.ID_CARD, "1901 0119900307123８"
    )
    assert list(by_number) == [cast.lin]
    assert not list(identities.find_by_number(cast.community.pk, Document.ID_CARD, "1238"))


@pytest.mark.parametrize(
    ("document", "number", "born_on", "field", "says"),
    [
        (Document.ID_CARD, "190101199003071237", None, "number", "digit"),
        (Document.ID_CARD, "", None, "number", "Type"),
        (Document.RESIDENCE, LINS, None, "number", "810000"),
        (Document.PASSPORT, "E12345678", date(2999, 1, 1), "born_on", "still to come"),
        (Document.PASSPORT, "E1234567/8", None, "number", "digits and letters"),
    ],
)
def test_a_wrong_number_is_refused_with_its_rule(
    cast: Cast, document: Document, number: str, born_on: date | None, field: str, says: str
) -> None:
    with translation.override("en"), pytest.raises(RuleError) as refused:
        identities.record_identity(cast.lin, document, number, BY, born_on=born_on)
    assert refused.value.field == field
    assert says.lower() in str(refused.value).lower()
    assert not Identity.objects.exists()


def test_the_same_person_twice_is_flagged_and_not_merged(cast: Cast) -> None:
    first = record(cast)
    second = identities.record_identity(cast.wang, Document.ID_CARD, LINS, BY)
    assert identities.same_person(second) == [cast.lin]
    assert identities.same_person(first) == [cast.wang]
    assert identities.doubles(cast.community.pk) == [[cast.lin, cast.wang]]
    assert Identity.objects.count() == 2


def test_another_number_has_to_be_proven_anew_and_the_same_one_not(cast: Cast) -> None:
    found = record(cast)
    identities.prove_by_clerk(found, BY)
    again = record(cast)
    assert (again.proven, again.proven_by) == (Proven.CLERK, "test")
    other = identities.record_identity(cast.lin, Document.ID_CARD, OTHERS, BY)
    assert (other.proven, other.proven_by, other.proven_at) == (Proven.NOT, "", None)
    assert Change.objects.filter(action="other number").count() == 1
    assert other.category == Category.REGISTERED


def test_a_look_at_a_full_number_needs_a_purpose_and_is_written_down(cast: Cast) -> None:
    found = record(cast)
    with pytest.raises(RuleError):
        identities.reveal_number(found, "  ", BY)
    assert not View.objects.exists()
    assert identities.reveal_number(found, "报警 登记", BY) == LINS
    line = View.objects.get()
    assert (line.who, line.what, line.object_id, line.purpose) == (
        "test",
        identities.NUMBER_VIEW,
        cast.lin.pk,
        "报警 登记",
    )


def test_forgetting_an_identity_twice_is_done_once(cast: Cast) -> None:
    record(cast)
    identities.forget_identity(cast.lin, BY)
    identities.forget_identity(cast.lin, BY)
    assert not Identity.objects.exists()
    assert Change.objects.filter(action="forget identity").count() == 1


CARD_LINE = f"林安|女|汉|19900307|某处|{LINS}|某局|20200101-20400101"
PASSPORT = (
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
)


def test_a_card_reader_proves_who_stands_there(cast: Cast) -> None:
    found = identities.prove_by_reader(cast.lin, CARD_LINE, BY)
    assert (found.proven, found.proven_by) == (Proven.READER, "card reader / test")
    assert found.number == LINS


def test_a_card_of_somebody_else_proves_nothing(cast: Cast) -> None:
    with pytest.raises(RuleError, match="林安"):
        identities.prove_by_reader(cast.wang, CARD_LINE, BY)
    identities.record_identity(cast.lin, Document.ID_CARD, OTHERS, BY)
    with pytest.raises(RuleError):
        identities.prove_by_reader(cast.lin, CARD_LINE, BY)
    assert Identity.objects.get().proven == Proven.NOT


def test_a_passport_is_read_by_its_two_lines(cast: Cast) -> None:
    # The specimen printed in ICAO Doc 9303.
    name, read = read_line(PASSPORT, TODAY)
    assert name == "passport reader"
    assert (read.document.value, read.number, read.born_on) == (
        Document.PASSPORT.value,
        "L898902C3",
        date(1974, 8, 12),
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        CARD_LINE.replace(LINS, "190101199003071237"),
        PASSPORT.replace("L898902C36", "L898902C35"),
        PASSPORT.replace("7408122F", "7408123F"),
        PASSPORT.replace("1204159", "1204158"),
        PASSPORT[:-1],
        PASSPORT.replace("740812", "749912"),
        "|" * 5000,
    ],
)
def test_a_text_that_no_reader_types_is_refused(line: str) -> None:
    with pytest.raises(RuleError):
        read_line(line, TODAY)


class _Service(BaseHTTPRequestHandler):
    """An outside verifier on the loopback: knows Lin, and can answer badly."""

    asked: list[tuple[dict[str, str], str]] = []
    answer = b""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((body, self.headers.get("Authorization", "")))
        match = body == {"document": "id_card", "number": LINS, "name": "林安"}
        answer = self.answer or json.dumps({"match": match}).encode()
        self.send_response(500 if answer == b"broken" else 200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service() -> Iterator[str]:
    _Service.asked, _Service.answer = [], b""
    server = HTTPServer(("127.0.0.1", 0), _Service)
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    yield f"http://127.0.0.1:{server.server_port}/check"
    server.shutdown()
    running.join(5)
    server.server_close()


def test_an_outside_service_confirms_one_and_not_another(cast: Cast, service: str) -> None:
    found = record(cast)
    asked = HttpVerifier(service, "key", "outside")
    assert identities.prove_outside(found, asked, BY)
    assert (found.proven, found.proven_by) == (Proven.OUTSIDE, "outside")
    assert _Service.asked[0][1] == "Bearer key"
    wangs = identities.record_identity(cast.wang, Document.ID_CARD, OTHERS, BY)
    assert not identities.prove_outside(wangs, asked, BY)
    assert wangs.proven == Proven.NOT
    actions = list(Change.objects.order_by("id").values_list("action", flat=True))
    assert actions.count("ask outside") == 2
    assert "not confirmed" in actions


@pytest.mark.parametrize(
    "answer", [b"broken", b"{", b"[]", b"{}", b'{"match": "yes"}', b"x" * 70_000]
)
def test_an_answer_that_cannot_be_understood_proves_nothing(
    cast: Cast, service: str, answer: bytes
) -> None:
    found = record(cast)
    _Service.answer = answer
    with pytest.raises(VerifierError) as refused:
        identities.prove_outside(found, HttpVerifier(service), BY)
    assert LINS not in str(refused.value)
    found.refresh_from_db()
    assert found.proven == Proven.NOT


def test_a_service_that_is_not_there_is_said_to_be_silent(cast: Cast) -> None:
    with pytest.raises(VerifierError):
        identities.prove_outside(record(cast), HttpVerifier("http://127.0.0.1:9/"), BY)


def test_no_outside_service_is_asked_unless_one_is_named_and_safe(settings: Settings) -> None:
    assert verifier() is None
    settings.VERIFIER_URL = "http://verify.example/check"
    with pytest.raises(VerifierError, match="https"):
        verifier()
    settings.VERIFIER_URL = "https://verify.example/check"
    found = verifier()
    assert found is not None
    assert found.name == "verify.example"
