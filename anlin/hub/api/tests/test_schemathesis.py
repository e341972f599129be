"""The whole API, driven from its own description: whatever is sent, the answer is as declared.

The examples are the same on every run; each is undone before the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from anlin.hub.access import services as access
from anlin.hub.api import api
from anlin.hub.console.tests import conftest as console
from anlin.hub.console.tests.world import BY, World
from anlin.hub.people import services as people

world = console.world
_catalogues = console._catalogues

pytestmark = pytest.mark.django_db(databases=["default", "events"])

EXAMPLES = 5
"""Of each way, valid and not, for each operation: all of them take half a minute."""
CHECKS = [
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
    content_type_conformance,
]
HUGE = "9" * 30
WRONG_BODIES = [
    ("application/json", b"{"),
    ("application/json", b"[]"),
    ("application/json", b"null"),
    ("application/json", b'{"name": "\xff"}'),
    ("application/json", b"[" * 20_000),
    ("application/json", b'{"limit": ' + b"9" * 5000 + b"}"),
    ("text/plain", b"name=x"),
    ("application/xml", b"<name/>"),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
    ("application/json; charset=nonsense", b'{"name": "x"}'),
    ("\x00", b"x"),
]

SCHEMA = schemathesis.openapi.from_dict(
    json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
)
Operation = schemathesis.APIOperation[Any, Any, Any, Any]
OPERATIONS: list[Operation] = [
    found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
]
EXPECTED = 45
"""Fewer would mean that the description lost some."""


class Caller:
    """Programs with a token each: the manager's, and the police liaison's where only they may."""

    def __init__(self, world: World) -> None:
        made = {
            name: people.add_api_token(world.staff[name], "driven", BY)[1]
            for name in ("meng", "liaison")
        }
        self._headers = {name: {"Authorization": f"Bearer {token}"} for name, token in made.items()}
        lin = world.people["lin"]
        self._known = {
            "holder_id": lin.pk,
            "credential_id": lin.credentials.order_by("pk")[0].pk,
            "portal_id": world.portals["east"].pk,
            "point_id": world.points["east"].pk,
            "rule_id": world.community.rules.order_by("pk")[0].pk,
            "schedule_id": access.add_schedule(world.community, "白天", BY).pk,
            "area_id": access.add_area(world.community, "院内", BY).pk,
            "purpose": "face",
        }

    def headers(self, operation: Operation) -> dict[str, str]:
        """Give the token of who is mostly allowed this."""
        return self._headers["liaison" if "/watch" in operation.path else "meng"]

    def path(self, operation: Operation) -> dict[str, str]:
        """Name what there is, as far as the address asks for it."""
        names = [one.name for one in operation.path_parameters]
        return {name: self._known[name] for name in names if name in self._known}


@pytest.fixture
def caller(world: World) -> Iterator[Caller]:
    SCHEMA.app = get_wsgi_application()
    yield Caller(world)
    SCHEMA.app = None


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic(), transaction.atomic("events"):
        yield
        transaction.set_rollback(True)
        transaction.set_rollback(True, "events")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_the_answer_is_as_declared(caller: Caller, mode: GenerationMode) -> None:
    assert len(OPERATIONS) >= EXPECTED
    faults = []
    for operation in OPERATIONS:
        try:
            _drive(operation, caller, mode)
        except (FailureGroup, Failure) as found:
            faults += [str(one) for one in getattr(found, "exceptions", [found])]
    assert not faults, "\n\n".join(faults)


def _drive(operation: Operation, caller: Caller, mode: GenerationMode) -> None:
    headers = caller.headers(operation)
    at_random = operation.as_strategy(mode)
    at_known = operation.as_strategy(mode, path_parameters=caller.path(operation))

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(at_known, at_random))
    def drive(case: schemathesis.Case[Any]) -> None:
        with undone():
            case.call_and_validate(headers=headers, checks=CHECKS, app=SCHEMA.app)

    drive()


def test_a_body_of_another_kind_is_refused_in_a_sentence(caller: Caller) -> None:
    faults = []
    for operation in OPERATIONS:
        if not list(operation.body):
            continue
        for kind, body in WRONG_BODIES:
            answer = _send(operation, caller, kind, body)
            if answer not in operation.responses.status_codes:
                faults.append(f"{operation.label} {kind!r} {body[:20]!r}: {answer}")
    assert not faults, "\n".join(faults)


def test_no_text_and_no_number_in_a_body_breaks_an_operation(caller: Caller) -> None:
    faults = []
    for operation in OPERATIONS:
        for body in operation.body:
            if body.media_type != "application/json":
                continue
            full = _filled(operation)
            for name in full:
                for value in ("a\\u0000b", "\\ud800", int(HUGE)):
                    text = json.dumps({**full, name: value}).replace("\\\\u", "\\u")
                    answer = _send(operation, caller, "application/json", text.encode())
                    if answer not in operation.responses.status_codes:
                        faults.append(f"{operation.label} {name}={value!r}: {answer}")
    assert not faults, "\n".join(faults)


def _filled(operation: Operation) -> dict[str, object]:
    """Give a body with something in each field, for one of them to be spoilt."""
    raw = SCHEMA.raw_schema
    asked = raw["paths"][operation.path][operation.method.lower()]["requestBody"]
    name = asked["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    fields = raw["components"]["schemas"][name]["properties"]
    return {field: _value(field, what, raw) for field, what in fields.items()}


def _value(field: str, what: dict[str, Any], raw: dict[str, Any]) -> object:
    choices = [what, *what.get("anyOf", []), *what.get("allOf", [])]
    for one in choices:
        if "$ref" in one:
            named = raw["components"]["schemas"][one["$ref"].rsplit("/", 1)[1]]
            return named["enum"][0] if "enum" in named else {}
        if "enum" in one:
            return one["enum"][0]
        if one.get("format") == "date-time":
            return "2030-01-02T03:04:05+08:00"
        if "type" in one:
            kind = one["type"]
            return {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": []}[kind]
    raise AssertionError(f"{field}: {what}")


def _send(operation: Operation, caller: Caller, kind: str, body: bytes) -> str:
    address = operation.path
    for name, value in caller.path(operation).items():
        address = address.replace(f"{{{name}}}", value)
    client = Client(raise_request_exception=False, headers=caller.headers(operation))
    with undone():
        return str(client.generic(operation.method.upper(), address, body, kind).status_code)


@pytest.mark.parametrize("value", [HUGE, "-1", "a%00b", "%FF", "1e400", "x" * 5000])
def test_no_value_in_an_address_breaks_a_list(caller: Caller, value: str) -> None:
    for operation in OPERATIONS:
        if operation.method.upper() != "GET":
            continue
        address = re.sub(r"\{[a-z_]+\}", value, operation.path)
        query = "&".join(f"{one.name}={value}" for one in operation.query)
        client = Client(raise_request_exception=False, headers=caller.headers(operation))
        answer = client.get(f"{address}?{query}")
        assert answer.status_code in (200, 404, 422), (operation.label, answer.status_code)
