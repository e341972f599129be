from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlin.vision import gallery as module
from anlin.vision.faces import THRESHOLDS, unit
from anlin.vision.gallery import Gallery, GalleryError

SIZE = 256


def person(seed: int, noise: float = 0.0, take: int = 0) -> np.ndarray:
    base = np.random.default_rng(seed).normal(size=SIZE)
    other = np.random.default_rng((seed, take)).normal(size=SIZE)
    return unit((base + noise * other).astype(np.float32))


def packed(vector: np.ndarray) -> bytes:
    return vector.astype("<f2").tobytes()


def test_lin_is_found_and_qian_who_left_is_not():
    gallery = Gallery("reid_0095", SIZE)
    gallery.add("c-lin", "lin", packed(person(1)))
    gallery.add("c-wang", "wang", packed(person(2)))
    gallery.add("c-qian", "qian", packed(person(3)))
    match = gallery.match(person(1, 0.4, take=9))
    assert (match.holder, match.credential) == ("lin", "c-lin")
    assert match.score > 0.8
    assert match.accepted(0.52, 0.05)
    assert gallery.remove("c-qian")
    assert not gallery.match(person(3)).accepted(0.52, 0.05)


def test_an_empty_gallery_knows_nobody():
    match = Gallery("reid_0095", SIZE).match(person(1))
    assert (match.holder, match.score, match.runner_up) == ("", 0.0, 0.0)
    assert not match.accepted(0.0, 0.0)


def test_the_runner_up_is_another_holder_not_another_photograph():
    gallery = Gallery("reid_0095", SIZE)
    for take in range(4):
        gallery.add(f"c-lin-{take}", "lin", packed(person(1, 0.2, take)))
    gallery.add("c-wang", "wang", packed(person(2)))
    match = gallery.match(person(1))
    assert match.holder == "lin"
    assert match.runner_up < 0.3


def test_twins_are_too_near_each_other_to_be_accepted():
    gallery = Gallery("reid_0095", SIZE)
    gallery.add("c1", "wang-1", packed(person(2, 0.1, 1)))
    gallery.add("c2", "wang-2", packed(person(2, 0.1, 2)))
    match = gallery.match(person(2))
    assert match.score > 0.9
    assert not match.accepted(0.52, 0.05)


def test_a_new_template_under_the_same_credential_replaces_the_old():
    gallery = Gallery("reid_0095", SIZE)
    gallery.add("c1", "lin", packed(person(1)))
    gallery.add("c1", "lin", packed(person(5)))
    assert len(gallery) == 1
    assert gallery.match(person(1)).score < 0.5


@pytest.mark.parametrize(
    ("vector", "rule"),
    [
        (b"", "0 bytes, reid_0095 has 512"),
        (packed(person(1))[:-2], "510 bytes"),
        (b"\x00" * 512, "not a direction"),
        (np.full(SIZE, np.nan, "<f2").tobytes(), "not a direction"),
        (np.full(SIZE, np.inf, "<f2").tobytes(), "not a direction"),
    ],
)
def test_what_is_no_vector_is_refused_by_credential(vector, rule):
    with pytest.raises(GalleryError, match=f"c1.*{rule}"):
        Gallery("reid_0095", SIZE).add("c1", "lin", vector)


def test_a_full_gallery_says_so_and_still_replaces(monkeypatch):
    monkeypatch.setattr(module, "CAPACITY", 3)
    gallery = Gallery("reid_0095", SIZE)
    for i in range(3):
        gallery.add(f"c{i}", "h", packed(person(i)))
    with pytest.raises(GalleryError, match="full with 3"):
        gallery.add("c9", "h", packed(person(9)))
    gallery.add("c1", "h", packed(person(8)))


def test_a_gallery_of_a_large_community_fits():
    gallery = Gallery("reid_0095", SIZE)
    rows = np.random.default_rng(7).normal(size=(5000, SIZE)).astype("<f2")
    for i, row in enumerate(rows):
        gallery.add(f"c{i}", f"h{i}", row.tobytes())
    assert gallery.match(unit(rows[4321].astype(np.float32))).holder == "h4321"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 5)), max_size=60))
def test_a_gallery_equals_a_plain_search_whatever_was_added_and_removed(steps):
    """Exactness: the matrix with its swaps against a dictionary and a loop."""
    gallery, plain = Gallery("reid_0095", SIZE), {}
    for added, credential, holder in steps:
        name = f"c{credential}"
        if added:
            vector = person(credential * 10 + holder)
            gallery.add(name, f"h{holder}", packed(vector))
            plain[name] = (f"h{holder}", unit(vector.astype("<f2").astype(np.float32)))
        else:
            assert gallery.remove(name) == (plain.pop(name, None) is not None)
    assert len(gallery) == len(plain)
    probe = person(51, 0.5, take=3)
    match = gallery.match(probe)
    score = THRESHOLDS["reid_0095"].score
    best: dict[str, float] = {}
    for holder, vector in plain.values():
        best[holder] = max(best.get(holder, -1.0), float(vector @ probe))
    ranked = sorted(best.values(), reverse=True)
    assert match.score == pytest.approx(score(ranked[0]) if ranked else 0.0, abs=1e-5)
    assert match.runner_up == pytest.approx(score(ranked[1]) if len(ranked) > 1 else 0.0, abs=1e-5)
    if ranked and match.score > 0:
        assert best[match.holder] == pytest.approx(ranked[0], abs=1e-5)
