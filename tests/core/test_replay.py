"""A decision falls again as it fell, from nothing but its record."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from test_access_properties import AT, cases

from anlin.core import device
from anlin.core.access import (
    GRANTS,
    NORMAL,
    Decision,
    Evidence,
    Liveness,
    Presentation,
    Reason,
    State,
    decide,
    subject_of,
)
from anlin.core.codec import canonical_json, to_data
from anlin.core.entities import Credential, Method
from anlin.core.event import Draft, Event, EventKind, chain
from anlin.core.policy import Policy
from anlin.core.replay import NoDecision, again, fault, inputs, is_decision
from anlin.edge.desk import Desk, Judged
from anlin.edge.portals import Portals
from anlin.edge.whereabouts import Whereabouts
from anlin.testing.cast import GATE_IN, LIN_CARD, make_policy, present, zhao_pass
from anlin.testing.clock import MORNING


def recorded(policy: Policy, shown: Presentation, state: State) -> tuple[Event, Decision]:
    """Decide, and write the event down by the desk's own hand, as the journal would keep it."""
    decision = decide(policy, shown, state, shown.at)
    desk = Desk(lambda: policy, Portals(lambda: policy), Whereabouts(()), {}, {}, "node-1")
    desk.is_online = state.is_online
    judged = Judged(
        decision,
        shown,
        state,
        policy.points.get(shown.point),
        policy.holders.get(decision.holder or ""),
        subject_of(shown.method, shown.value, decision.holder),
    )
    read = device.Read(shown.point, shown.method, "", None, shown.age_s, shown.evidence)
    data = json.loads(canonical_json(to_data(desk.data(judged, read))))
    kind = EventKind.ACCESS_GRANTED if decision.is_granted else EventKind.ACCESS_DENIED
    draft = Draft(kind, shown.point, shown.at, data, policy.revision)
    return chain(draft, "node-1", 1, 1, ""), decision


def test_every_recorded_decision_falls_again_the_same():
    seen: Counter[Reason] = Counter()
    for _, policy, shown, state in cases()[::2]:
        event, decision = recorded(policy, shown, state)
        assert fault(event, policy) == "", (shown, state, decision, event.data)
        once_more = again(event, policy)
        assert once_more.difference == ""
        assert once_more.decision == decision._replace(is_duress=False)
        assert once_more.recorded is decision.reason
        seen[decision.reason] += 1
    assert set(Reason) - set(seen) == {Reason.INTERNAL_ERROR}
    assert sum(seen[reason] for reason in GRANTS) > 500


def test_no_record_holds_a_pin_nor_its_digest():
    for _, policy, shown, state in cases():
        if shown.method is Method.PIN:
            event, _ = recorded(policy, replace(shown, value="digest-of-a-pin"), state)
            text = json.dumps(dict(event.data))
            assert "digest-of-a-pin" not in text
            assert not (shown.forced_from and f'"{shown.forced_from}"' in text)


CARD = present(LIN_CARD)
POLICY = make_policy()


def event_of(**changed: Any) -> Event:
    """Give the event of Lin's card at the gate, with some of its data changed or (None) gone."""
    event, _ = recorded(POLICY, CARD, NORMAL)
    data = {key: value for key, value in {**event.data, **changed}.items() if value is not None}
    return replace(event, data=data)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"reason": "lockdown"}, "reason: recorded lockdown, decided again granted"),
        ({"holder": "wang"}, "holder: recorded wang, decided again lin"),
        ({"holder": None}, "holder: recorded None, decided again lin"),
        ({"rule": "r9"}, "rule: recorded r9, decided again r1"),
        ({"level": 2}, "level: recorded 2, decided again 1"),
        ({"level": None}, "level: recorded 0, decided again 1"),
        ({"age_s": 10.5}, "reason: recorded granted, decided again stale_presentation"),
        ({"state": {"mode": "lockdown"}}, "reason: recorded granted, decided again lockdown"),
        ({"point": "nowhere"}, "reason: recorded granted, decided again unknown_access_point"),
        ({"credential": "wang-card"}, "holder: recorded lin, decided again wang"),
        ({"credential": None}, "reason: recorded granted, decided again credential_unknown"),
    ],
)
def test_a_record_that_was_altered_differs_from_its_decision(changed, told):
    assert fault(event_of(**changed), POLICY) == told


def test_a_record_that_names_another_credential_of_the_same_holder_differs():
    other = Credential("lin-card-2", "lin", Method.CARD, LIN_CARD.key)
    policy = make_policy(other, records=[])
    shown = replace(CARD, point=GATE_IN.id)
    decision = decide(policy, shown, NORMAL, MORNING)
    event = replace(event_of(), data={**event_of().data, "reason": decision.reason})
    assert fault(event, policy).startswith("holder: recorded lin")


def test_where_only_the_reason_is_asked_the_rest_may_differ():
    assert again(event_of(holder="wang"), POLICY).difference == ""
    found = again(event_of(reason="lockdown"), POLICY)
    assert found.difference == "recorded lockdown, decided again granted"
    assert [row.outcome for row in found.checks].count("passed") == len(found.checks)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (replace(event_of(), kind=EventKind.DOOR_FORCED), "a door_forced of gate-in"),
        (event_of(decided_by="device"), "a access_granted of gate-in is no decision"),
        (event_of(reason="because"), "because"),
        (event_of(reason=None), "reason"),
        (event_of(method="whistling"), "whistling"),
        (event_of(method=None), "method"),
        (event_of(point=None), "point"),
        (event_of(state={"mood": "good"}), "mood"),
        (event_of(leave={"id": "p"}), "Pass"),
        (event_of(liveness="undead"), "Evidence"),
        (event_of(age_s="old"), "old"),
    ],
)
def test_what_records_no_decision_of_ours_is_said_to(event, words):
    for ask in (again, fault):
        with pytest.raises(NoDecision) as caught:
            ask(event, POLICY)
        assert str(caught.value).startswith("event 1: ")
    with pytest.raises(NoDecision, match=words):
        again(event, POLICY)


def test_only_a_grant_or_denial_that_this_software_made_is_a_decision():
    assert is_decision(event_of())
    assert is_decision(replace(event_of(), kind=EventKind.ACCESS_DENIED))
    assert not is_decision(replace(event_of(), kind=EventKind.ACCESS_TAKEN))
    assert not is_decision(event_of(decided_by="device"))


def test_the_inputs_are_what_was_looked_at():
    leave = zhao_pass()
    evidence = Evidence(score=0.5, liveness=Liveness.LIVE, picture="p.jpg")
    shown = Presentation("gate-in", Method.QR, "text", MORNING, evidence, leave, None, 3.5)
    state = State(pass_used=1, is_online=False, inside=4)
    event, _ = recorded(POLICY, shown, state)
    found, remembered = inputs(event, POLICY)
    assert remembered == state
    assert replace(found, value="text") == shown
    event, _ = recorded(POLICY, replace(shown, leave=None, fault="cut short"), state)
    assert inputs(event, POLICY)[0].fault == "cut short"


@pytest.mark.parametrize(
    ("method", "value", "reason", "expected"),
    [
        (Method.FACE, "", "face_not_recognised", ""),
        (Method.PLATE, "", "plate_not_read", ""),
        (Method.FACE, "", "mask_worn", "\x00"),
        (Method.CARD, "DEADBEEF", "credential_unknown", "DEADBEEF"),
        (Method.PLATE, "沪B99999", "credential_unknown", "沪B99999"),
    ],
)
def test_what_was_nobodys_is_nobodys_again(method, value, reason, expected):
    data = {"reason": reason, "method": method, "point": "gate-in"}
    data |= {"value": value} if value else {}
    event = replace(event_of(), data=data)
    assert inputs(event, POLICY)[0].value == expected
    assert AT == MORNING
