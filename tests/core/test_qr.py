from __future__ import annotations

import base64
import json
import string
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.access import NORMAL, Presentation, Reason, State, decide
from anlin.core.codec import canonical_json, to_data
from anlin.core.entities import Method, RevokedPass
from anlin.core.qr import (
    MAX_TEXT_CHARS,
    PREFIX,
    STEP_S,
    Pass,
    PassError,
    code_of,
    derive,
    issue,
    pass_secret,
    read,
    shown,
    step_of,
    step_shown,
)
from anlin.testing.cast import (
    COMMUNITY,
    GATE_IN,
    ISSUER,
    ISSUER_KEY,
    RECORDS,
    make_policy,
    qr_text,
    zhao_pass,
)
from anlin.testing.clock import MORNING
from anlin.wire import keys

KEYS = {ISSUER.id: ISSUER.public_key}
POLICY = make_policy()
TEXT = qr_text(zhao_pass())
SECOND = timedelta(seconds=1)
BASE64URL = string.ascii_letters + string.digits + "-_"


def reading(text: str) -> Pass:
    return read(text, KEYS, keys.verify)


def show(leave: Pass | None, state: State = NORMAL, at=MORNING, point=GATE_IN, **more):
    shown = Presentation(point.id, Method.QR, "text", at, leave=leave, **more)
    return decide(POLICY, shown, state, at).reason


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
times = st.integers(-(10**6), 10**6).map(lambda s: MORNING + timedelta(seconds=s))
passes = st.builds(
    Pass,
    texts,
    texts,
    st.just(ISSUER.id),
    texts,
    times,
    times,
    st.lists(texts, max_size=3).map(tuple),
    st.integers(0, 99),
    st.none() | texts,
    texts,
)


@given(passes)
def test_a_pass_reads_as_it_was_issued(leave):
    assert reading(qr_text(leave)) == leave
    assert reading(f" {qr_text(leave)}\r\n") == leave  # readers add line ends


def test_a_full_pass_fits_a_qr_code():
    full = zhao_pass(points=tuple(f"access-point-{n:04}" for n in range(20)), label="赵" * 20)
    assert len(qr_text(full)) <= MAX_TEXT_CHARS


def test_every_cut_is_refused():
    for end in range(len(TEXT)):
        with pytest.raises(PassError):
            reading(TEXT[:end])


def test_every_changed_character_is_refused():
    # The last characters of each part have spare bits; there every other character is tried.
    ends = [n - back for n in (TEXT.rindex("."), len(TEXT)) for back in (1, 2)]
    for place, old in enumerate(TEXT):
        neighbour = BASE64URL[BASE64URL.find(old) - 1]
        for new in set(BASE64URL if place in ends else neighbour) | set("+/=. 界"):
            if new != old:
                with pytest.raises(PassError):
                    reading(TEXT[:place] + new + TEXT[place + 1 :])


@given(st.text(max_size=80) | st.text(BASE64URL + ".", max_size=80).map(f"{PREFIX}.".__add__))
def test_no_text_raises_anything_but_a_pass_error(text):
    with pytest.raises(PassError):
        reading(text)


def signed(payload: bytes) -> str:
    body = f"{PREFIX}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}"
    signature = keys.sign(ISSUER_KEY, body.encode())
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def altered(**changed: object) -> bytes:
    return canonical_json({**to_data(zhao_pass()), **changed})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("A" * (MAX_TEXT_CHARS + 1), "1201 characters: longer than 1200"),
        ("https://example.org/", "not a pass of this platform, or was cut short"),
        (TEXT.replace(PREFIX, "ANLIN2"), "not a pass of this platform"),
        (f"{TEXT}.x", "has a code, and does not rotate"),
        (f"{TEXT}.x.y", "not a pass of this platform"),
        (signed(b"{"), "can't be read"),
        (signed(b"[" * 800), "can't be read"),
        (signed(b"\xff\xfe\xfd"), "can't be read"),
        (signed(b"[]"), "Pass: expected an object"),
        (signed(altered(uses="1")), "Pass.uses: expected int"),
        (signed(altered(not_after="0001-01-01T00:00:00+23:00")), "Pass.not_after: expected an ISO"),
        (signed(altered(issuer="other")), "unknown issuer 'other'"),
        (f"{TEXT[:-4]}====", "cut or damaged"),
        (f"{TEXT[:-1]}", "cut or damaged|can't be read|does not hold"),
    ],
    # Texts signed by a fresh key can't name a test: every worker would find another name.
    ids=range(14),
)
def test_a_wrong_text_is_refused_with_its_rule(text, rule):
    with pytest.raises(PassError, match=rule):
        reading(text)


def test_a_pass_signed_by_somebody_else_is_refused():
    forged = issue(zhao_pass(), partial(keys.sign, keys.new_signing_key()))
    with pytest.raises(PassError, match="'pass-1': the signature does not hold"):
        reading(forged)


def test_a_signature_does_not_move_to_another_pass():
    other = qr_text(zhao_pass(id="pass-2"))
    mixed = ".".join([*TEXT.split(".")[:2], other.split(".")[2]])
    with pytest.raises(PassError, match="does not hold"):
        reading(mixed)


def test_the_payload_is_canonical_json():
    payload = TEXT.split(".")[1]
    raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert raw == canonical_json(json.loads(raw))


LEAVE = zhao_pass()
START, END = LEAVE.not_before, LEAVE.not_after


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (START - 61 * SECOND, Reason.PASS_NOT_ACTIVE),
        (START - 60 * SECOND, Reason.GRANTED),  # the skew that a gate's clock may have
        (START, Reason.GRANTED),
        (END, Reason.GRANTED),
        (END + 59 * SECOND, Reason.GRANTED),
        (END + 60 * SECOND, Reason.PASS_EXPIRED),
    ],
)
def test_a_pass_holds_in_its_window_and_one_minute_around_it(at, reason):
    assert show(LEAVE, at=at) is reason


UNKNOWN = "somebody-new"


@pytest.mark.parametrize(
    ("leave", "state", "reason"),
    [
        (zhao_pass(), NORMAL, Reason.GRANTED),
        (None, NORMAL, Reason.PASS_INVALID),
        (zhao_pass(community="other"), NORMAL, Reason.PASS_OTHER_COMMUNITY),
        (zhao_pass(points=("lane-in",)), NORMAL, Reason.PASS_WRONG_POINT),
        (zhao_pass(points=("lane-in", "gate-in")), NORMAL, Reason.GRANTED),
        (zhao_pass(points=()), NORMAL, Reason.GRANTED),
        (zhao_pass(), State(pass_used=1), Reason.PASS_USED),
        (zhao_pass(uses=2), State(pass_used=1), Reason.GRANTED),
        (zhao_pass(uses=2), State(pass_used=2), Reason.PASS_USED),
        (zhao_pass(uses=0), State(pass_used=500), Reason.GRANTED),
        (zhao_pass(holder=UNKNOWN), NORMAL, Reason.GRANTED),  # comes as the group it was signed for
        (zhao_pass(holder=UNKNOWN, group=None), NORMAL, Reason.HOLDER_UNKNOWN),
        (zhao_pass(holder=UNKNOWN, group="staff-of-another-house"), NORMAL, Reason.UNAUTHORIZED),
        (zhao_pass(not_after=datetime.max.replace(tzinfo=UTC)), NORMAL, Reason.GRANTED),
        (zhao_pass(not_before=datetime.min.replace(tzinfo=UTC)), NORMAL, Reason.GRANTED),
    ],
)
def test_a_pass_opens_only_where_when_and_as_often_as_it_says(leave, state, reason):
    assert show(leave, state) is reason


def test_a_pass_whose_signature_did_not_hold_opens_nothing():
    assert show(zhao_pass(), fault="the signature does not hold") is Reason.PASS_INVALID


def test_a_pass_that_was_taken_back_opens_nothing():
    taken_back = make_policy(RevokedPass("pass-1", END))
    shown = Presentation(GATE_IN.id, Method.QR, "text", MORNING, leave=zhao_pass())
    assert decide(taken_back, shown, NORMAL, MORNING).reason is Reason.PASS_REVOKED


def test_without_a_community_every_pass_is_another_ones():
    alone = make_policy(records=[entity for entity in RECORDS if entity is not COMMUNITY])
    shown = Presentation(GATE_IN.id, Method.QR, "text", MORNING, leave=zhao_pass())
    assert decide(alone, shown, NORMAL, MORNING).reason is Reason.PASS_OTHER_COMMUNITY


# Passes that rotate

ROTATING = zhao_pass(rotates=True)
SHOWN = qr_text(ROTATING)
CODES = pass_secret(b"of the community", ROTATING.id)


def test_a_code_counts_for_its_half_minute_and_the_one_after_and_a_clock_half_a_minute_off():
    began = datetime.fromtimestamp(step_of(MORNING) * STEP_S, UTC)
    text = shown(SHOWN, CODES, began)
    worth = {
        seconds: step_shown(text, CODES, began + timedelta(seconds=seconds)) is not None
        for seconds in (-61, -31, -30, 0, 29, 30, 59, 60, 89, 90, 120)
    }
    assert worth == {
        -61: False, -31: False, -30: True, 0: True, 29: True, 30: True,
        59: True, 60: True, 89: True, 90: False, 120: False,
    }  # fmt: skip


@given(st.integers(0, 3600), st.integers(120, 10**6))
def test_a_picture_of_two_minutes_ago_is_never_fresh(after, age):
    taken = MORNING + after * SECOND
    assert step_shown(shown(SHOWN, CODES, taken), CODES, taken + age * SECOND) is None


@given(st.integers(-(10**6), 10**6), st.text(BASE64URL, min_size=1, max_size=12))
def test_no_other_code_is_taken(after, code):
    at = MORNING + after * SECOND
    is_ours = code == code_of(shown(SHOWN, CODES, at))
    assert is_ours or step_shown(f"{SHOWN}.{code}", CODES, at) is None


def test_the_code_of_one_pass_does_not_rotate_another():
    other = pass_secret(b"of the community", "pass-2")
    assert step_shown(shown(SHOWN, other, MORNING), CODES, MORNING) is None
    assert pass_secret(b"of another community", ROTATING.id) != CODES


def test_a_rotating_pass_reads_the_same_with_its_code_and_without():
    assert reading(shown(SHOWN, CODES, MORNING)) == reading(SHOWN) == ROTATING
    assert code_of(SHOWN) == ""


def test_a_pass_that_does_not_rotate_looks_as_before():
    payload = TEXT.split(".")[1]
    raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert b"rotates" not in raw


def test_a_key_is_derived_as_rfc_5869_does():
    # With an empty salt and one block, HKDF is the two HMACs; `cryptography` agrees.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    theirs = HKDF(SHA256(), 32, salt=None, info=b"use").derive(b"secret")
    assert derive(b"secret", b"use") == theirs


def test_a_rotating_pass_with_its_code_fits_a_qr_code():
    full = zhao_pass(
        points=tuple(f"access-point-{n:04}" for n in range(12)), label="赵" * 20, rotates=True
    )
    assert len(shown(qr_text(full), CODES, MORNING)) <= MAX_TEXT_CHARS
