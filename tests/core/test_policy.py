from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.codec import canonical_json, from_data, to_data
from anlin.core.entities import (
    KINDS,
    AccessRule,
    Bike,
    Community,
    Credential,
    Device,
    Entity,
    Holder,
    HolderKind,
    Housemate,
    Membership,
    Method,
    Status,
    WatchEntry,
)
from anlin.core.policy import Change, Delta, Policy, PolicyError, RevisionGap
from anlin.testing import cast
from anlin.testing.cast import (
    COMMUNITY,
    GATE_IN,
    LIN,
    LIN_CARD,
    QIAN_CARD,
    RECORDS,
    RESIDENTS,
    STAFF,
    WANG_CARD,
    change,
    make_policy,
    snapshot,
    tombstone,
)

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
NAMES = ["a", "b", "c"]

names = st.sampled_from(NAMES)
times = st.none() | st.integers(-3, 3).map(lambda hours: AT + timedelta(hours=hours))
some_names = st.lists(names, max_size=3).map(tuple)
made: dict[str, st.SearchStrategy[Entity]] = {
    "holder": st.builds(
        Holder,
        names,
        names,
        st.sampled_from(HolderKind),
        st.lists(st.builds(Membership, names, times, times), max_size=2).map(tuple),
        st.sampled_from(Status),
    ),
    "credential": st.builds(
        Credential, names, names, st.sampled_from([Method.CARD, Method.QR]), names
    ),
    "access_rule": st.builds(AccessRule, names, names, some_names, some_names, st.none() | names),
    "bike": st.builds(
        Bike,
        names,
        names,
        names,
        st.lists(st.builds(Housemate, names, times, times), max_size=2).map(tuple),
    ),
    "device": st.builds(Device, names, names, names, names, st.dictionaries(names, st.integers())),
}
changes = st.tuples(
    st.sampled_from(list(made)).flatmap(
        lambda kind: st.tuples(st.just(kind), names, st.none() | made[kind])
    ),
    st.booleans(),
)


def history(ops) -> list[Change]:
    """Number the changes a hub could have made: no key is given away before it is free."""
    keys: dict[tuple[Method, str], str] = {}
    done: list[Change] = []
    revision = 1
    for (kind, id_, entity), is_new_revision in ops:
        if entity is not None:
            id_ = entity.id
        if kind == "credential":
            if entity is not None and keys.get((entity.method, entity.key), id_) != id_:
                continue
            keys = {key: holder for key, holder in keys.items() if holder != id_}
            if entity is not None:
                keys[entity.method, entity.key] = id_
        revision += is_new_revision
        done.append(Change(revision, kind, id_, to_data(entity) if entity is not None else None))
    return done


def cut(done: list[Change], at: set[int]) -> list[Delta]:
    """Cut a history into batches that end at some of its revisions."""
    last = done[-1].revision if done else 0
    ends = sorted({0, last} | {revision for revision in at if revision < last})
    return [
        Delta(after, upto, tuple(c for c in done if after < c.revision <= upto))
        for after, upto in pairwise(ends)
    ]


def newest_only(delta: Delta) -> Delta:
    """Keep what a hub sends to an edge that was away: the last change of each entity."""
    last = {(change.kind, change.id): change for change in delta.changes}
    return replace(delta, changes=tuple(c for c in delta.changes if last[c.kind, c.id] is c))


def through_the_wire(delta: Delta) -> Delta:
    return from_data(Delta, json.loads(canonical_json(to_data(delta))))


def built(deltas: list[Delta]) -> Policy:
    policy = Policy()
    for delta in deltas:
        policy.apply(delta)
    return policy


def answers(policy: Policy) -> object:
    """Everything that a decision can ask of a policy."""
    methods = (Method.CARD, Method.QR)
    return (
        [policy.credential_for(method, key) for method in methods for key in NAMES],
        [policy.rules_at(point, group) for point in NAMES for group in NAMES],
        dict(policy.holders),
        dict(policy.devices),
        dict(policy.bikes),
        [policy.bike_by_tag(tag) for tag in NAMES],
        policy.revision,
        policy.community,
    )


@given(st.lists(changes, max_size=25), st.sets(st.integers(1, 25)))
def test_a_snapshot_equals_the_chain_of_its_deltas_to_the_byte(ops, cuts):
    done = history(ops)
    whole = built(cut(done, set()))
    chained = built(cut(done, cuts))
    thinned = built([newest_only(delta) for delta in cut(done, cuts)])
    at_once = built([newest_only(delta) for delta in cut(done, set())])
    copied = built([through_the_wire(whole.snapshot())])
    for other in (chained, thinned, at_once, copied):
        assert other.to_bytes() == whole.to_bytes()
        assert answers(other) == answers(whole)


@given(st.lists(changes, max_size=25), st.sets(st.integers(1, 25)))
def test_a_policy_says_exactly_what_its_history_left_standing(ops, cuts):
    done = history(ops)
    standing = {(c.kind, c.id): c.data for c in done}
    policy = built(cut(done, cuts))
    said = {(c.kind, c.id): to_data(c.data) for c in policy.snapshot().changes}
    assert said == {key: data for key, data in standing.items() if data is not None}
    for tag in NAMES:
        bikes = [data for (kind, _), data in standing.items() if kind == "bike" and data]
        ids = [data["id"] for data in bikes if data["tag"] == tag]
        bike = policy.bike_by_tag(tag)
        assert (bike.id in ids) if bike is not None else not ids
    for method in (Method.CARD, Method.QR):
        for key in NAMES:
            found = policy.credential_for(method, key)
            holders = [
                id_
                for (kind, id_), data in standing.items()
                if kind == "credential" and data and (data["method"], data["key"]) == (method, key)
            ]
            assert [found.id] * bool(found) == holders if found else not holders


def test_rules_are_given_in_order_of_their_ids_whatever_order_they_came_in():
    rules = [AccessRule(id_, id_, ("g",), ("p",)) for id_ in "cab"]
    for order in (rules, rules[::-1]):
        policy = make_policy(records=order)
        assert [rule.id for rule in policy.rules_at("p", "g")] == ["a", "b", "c"]
    assert policy.rules_at("p", "other") == ()
    assert policy.rules_at("other", "g") == ()


def test_the_cast_of_one_community_makes_a_policy():
    policy = make_policy()
    assert policy.revision == len(RECORDS)
    assert policy.community == COMMUNITY
    assert policy.credential_for(Method.CARD, LIN_CARD.key) == LIN_CARD
    assert Policy().community is None
    assert {c.kind for c in policy.snapshot().changes} <= set(KINDS)


def test_a_tombstone_takes_the_card_and_a_new_one_brings_it_back():
    policy = make_policy()
    before = policy.to_bytes()
    end = policy.revision
    policy.apply(Delta(end, end + 1, (tombstone(LIN_CARD, end + 1),)))
    assert policy.credential_for(Method.CARD, LIN_CARD.key) is None
    policy.apply(Delta(end + 1, end + 2, (change(LIN_CARD, end + 2),)))
    assert policy.credential_for(Method.CARD, LIN_CARD.key) == LIN_CARD
    assert json.loads(policy.to_bytes())["changes"][0]["revision"] == end + 2
    assert len(policy.to_bytes()) == len(before)


def test_a_tombstone_for_what_was_never_there_changes_nothing_else():
    policy = make_policy(records=RECORDS[:3])
    policy.apply(Delta(3, 4, (tombstone(LIN_CARD, 4),)))
    assert (policy.revision, len(policy.snapshot().changes)) == (4, 3)


def test_a_card_passes_from_one_holder_to_another_in_one_batch():
    policy = make_policy()
    end = policy.revision
    wangs = replace(WANG_CARD, key=LIN_CARD.key)
    lins = replace(LIN_CARD, key=WANG_CARD.key)
    policy.apply(Delta(end, end + 2, (change(wangs, end + 1), change(lins, end + 2))))
    assert policy.credential_for(Method.CARD, LIN_CARD.key) == wangs
    assert policy.credential_for(Method.CARD, WANG_CARD.key) == lins


@pytest.mark.parametrize(
    "pair",
    [
        (replace(WANG_CARD, key=LIN_CARD.key),),
        (LIN_CARD, replace(WANG_CARD, key=LIN_CARD.key)),
        (replace(WANG_CARD, key=LIN_CARD.key), LIN_CARD),
        (replace(WANG_CARD, key="new"), replace(QIAN_CARD, key="new")),
    ],
)
def test_two_credentials_never_share_a_key(pair):
    policy = make_policy()
    before, end = policy.to_bytes(), policy.revision
    delta = Delta(end, end + 1, tuple(change(entity, end + 1) for entity in pair))
    with pytest.raises(PolicyError, match="card is already held by") as caught:
        policy.apply(delta)
    assert LIN_CARD.key not in str(caught.value)  # a card's number is a secret
    assert policy.to_bytes() == before


@pytest.mark.parametrize("after", [0, 1, 29, 31, 10**9])
def test_a_delta_that_does_not_begin_where_the_policy_ends_changes_nothing(after):
    policy = make_policy(records=RECORDS[:30])
    before = policy.to_bytes()
    gap = Delta(after, after + 1, (tombstone(LIN, after + 1),))
    with pytest.raises(RevisionGap, match=f"begins after revision {after}.*is at 30") as caught:
        policy.apply(gap)
    assert caught.value.has == 30
    assert policy.to_bytes() == before


GOOD = tombstone(LIN_CARD, 31)
LIN_DATA = to_data(LIN)


@pytest.mark.parametrize(
    ("delta", "rule"),
    [
        (Delta(30, 29), "ends at 29, before its start 30"),
        (
            Delta(30, 32, (GOOD, replace(GOOD, revision=30))),
            "lin-card: revision 30 is out of order",
        ),
        (Delta(30, 32, (GOOD, replace(GOOD, revision=33))), "revision 33 is out of order"),
        (Delta(30, 33, (replace(GOOD, revision=32), GOOD)), "revision 31 is out of order"),
        (Delta(30, 31, (GOOD, Change(31, "dragon", "d", {}))), "dragon d: unknown kind"),
        (Delta(30, 31, (GOOD, Change(31, "holder", "lin", {}))), "holder lin: Holder.id: missing"),
        (
            Delta(30, 31, (GOOD, Change(31, "holder", "x", LIN_DATA))),
            "holder x: its data names lin",
        ),
        (
            Delta(30, 31, (GOOD, Change(31, "holder", "lin", {**LIN_DATA, "status": "happy"}))),
            "holder lin: Holder.status: 'happy' is not one of",
        ),
        (
            Delta(30, 31, (GOOD, Change(31, "holder", "lin", {**LIN_DATA, "wealth": 10**400}))),
            r"Holder: unknown fields \['wealth'\]",
        ),
        (
            Delta(
                30,
                31,
                (
                    GOOD,
                    Change(
                        31,
                        "schedule",
                        "s",
                        {
                            "id": "s",
                            "name": "s",
                            "zone": "UTC",
                            "weekly": [{"start_min": 9999, "end_min": 1}],
                        },
                    ),
                ),
            ),
            "schedule s: .*start 9999 is not within",
        ),
        (
            Delta(
                30,
                31,
                (
                    GOOD,
                    Change(
                        31,
                        "portal",
                        "gate",
                        {"id": "gate", "name": "g", "held_open_s": 10**400},
                    ),
                ),
            ),
            "portal gate: Portal.held_open_s: expected a finite number",
        ),
    ],
)
def test_a_delta_with_one_wrong_change_is_not_applied_at_all(delta, rule):
    policy = make_policy(records=RECORDS[:30])
    before = policy.to_bytes()
    with pytest.raises(PolicyError, match=rule):
        policy.apply(delta)
    assert policy.to_bytes() == before
    assert policy.credential_for(Method.CARD, LIN_CARD.key) == make_policy().credential_for(
        Method.CARD, LIN_CARD.key
    )


def test_an_empty_delta_moves_only_the_revision():
    policy = make_policy()
    policy.apply(Delta(policy.revision, policy.revision + 5))
    assert policy.revision == len(RECORDS) + 5
    policy.apply(Delta(policy.revision, policy.revision))
    assert policy.revision == len(RECORDS) + 5


def test_a_rule_that_changes_its_groups_leaves_no_trace_of_the_old_ones():
    policy = make_policy()
    end = policy.revision
    (rule,) = policy.rules_at(GATE_IN.id, RESIDENTS)
    policy.apply(Delta(end, end + 1, (change(replace(rule, groups=(STAFF,)), end + 1),)))
    assert policy.rules_at(GATE_IN.id, RESIDENTS) == ()
    policy.apply(Delta(end + 1, end + 2, (tombstone(rule, end + 2),)))
    assert rule.id not in {r.id for r in policy.rules_at(GATE_IN.id, STAFF)}


def test_the_cast_as_deltas_of_one_is_the_cast_at_once():
    single = Policy()
    for item in snapshot().changes:
        single.apply(Delta(item.revision - 1, item.revision, (item,)))
    assert single.to_bytes() == make_policy().to_bytes()


def test_of_two_communities_the_answer_does_not_depend_on_their_order():
    pair = [Community("b", "b"), Community("a", "a")]
    assert make_policy(records=pair).community == make_policy(records=pair[::-1]).community


def test_a_policy_finds_what_belongs_together():
    court_gate = replace(cast.GATE, interlock="airlock", node="node-1")
    inner = replace(cast.UNIT_DOOR, interlock="airlock", node="node-1")
    policy = cast.make_policy(court_gate, inner, replace(cast.LANE, interlock="other"))
    assert [point.id for point in policy.points_of("gate")] == ["gate-in", "gate-out"]
    assert policy.points_of("nowhere") == ()
    assert policy.interlocked_with("gate") == ("door-1",)
    assert policy.interlocked_with("lane") == ()
    assert policy.interlocked_with("nowhere") == ()
    assert policy.portals_of_area("court") == ("door-1", "gate")
    assert policy.portals_of_area("nowhere") == ()
    assert not policy.is_shared("court")
    policy.apply(
        Delta(
            policy.revision,
            policy.revision + 1,
            (cast.change(replace(inner, node="node-2"), policy.revision + 1),),
        )
    )
    assert policy.is_shared("court")
    assert not policy.is_shared("b1")


def test_what_is_watched_for_is_found_by_what_is_shown_and_forgotten_with_its_entry():
    entries = [
        WatchEntry(id_, Method.PLATE, "沪B99999", datetime(2026, 12, 1, tzinfo=UTC))
        for id_ in ("watch-2", "watch-1")
    ]
    policy = cast.make_policy(*entries)
    assert [entry.id for entry in policy.watched(Method.PLATE, "沪B99999")] == [
        "watch-1",
        "watch-2",
    ]
    assert policy.watched(Method.CARD, "沪B99999") == ()
    after = policy.revision
    gone = tuple(cast.tombstone(entry, after + 1) for entry in entries)
    policy.apply(Delta(after, after + 1, gone))
    assert policy.watched(Method.PLATE, "沪B99999") == ()


def test_a_delta_that_ends_before_its_start_is_refused():
    policy = cast.make_policy()
    with pytest.raises(PolicyError, match="before its start"):
        policy.apply(Delta(policy.revision, policy.revision - 1))
