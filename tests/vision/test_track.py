from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.vision.gallery import Match
from anlin.vision.plate_beam import Reading
from anlin.vision.track import FaceLook, FaceVote, PlateVote, Tracker, nearness

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
LIN = Match("c-lin", "lin", 0.8, 0.2)
WANG = Match("c-wang", "wang", 0.7, 0.2)
WEAK = Match("c-lin", "lin", 0.4, 0.2)
TIED = Match("c-lin", "lin", 0.8, 0.78)
VECTOR = np.ones(4, np.float32) / 2


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def vote(votes: int = 3, predecessor: str = "") -> FaceVote:
    return FaceVote(AT, votes, threshold=0.52, margin=0.05, predecessor=predecessor)


def run(ballot: FaceVote, matches, every_s=0.125, masked=None, alive=None):
    verdicts = []
    for i, match in enumerate(matches):
        look = FaceLook(after(i * every_s), match, VECTOR, masked, alive)
        verdicts.append(ballot.add(look))
    return verdicts


def test_three_frames_that_agree_make_lin_known_once():
    verdicts = run(vote(), [LIN] * 10)
    assert [v is not None for v in verdicts] == [False, False, True] + [False] * 7
    assert verdicts[2].match == LIN
    assert (verdicts[2].votes, verdicts[2].frames) == (3, 3)


def test_one_frame_for_someone_else_does_not_stop_lin():
    verdicts = run(vote(), [LIN, WANG, LIN, LIN])
    assert [v.match.holder for v in verdicts if v] == ["lin"]


def test_frames_split_between_two_holders_let_nobody_in():
    verdicts = run(vote(), [LIN, WANG] * 6)
    assert [v.match.holder for v in verdicts if v] == [""]


@pytest.mark.parametrize("match", [WEAK, TIED, Match()])
def test_a_face_that_nobody_fits_is_a_strangers_after_eight_frames(match):
    verdicts = run(vote(), [match] * 12)
    assert [i for i, v in enumerate(verdicts) if v] == [7]
    assert verdicts[7].match.holder == ""
    assert verdicts[7].match.credential == ""


def test_at_two_frames_a_second_a_stranger_is_told_after_1_2_seconds():
    verdicts = run(vote(), [WEAK] * 6, every_s=0.5)
    assert [i for i, v in enumerate(verdicts) if v] == [3]


def test_an_unknown_who_turns_round_becomes_known_once():
    verdicts = run(vote(), [WEAK] * 8 + [LIN] * 6)
    assert [(i, v.match.holder) for i, v in enumerate(verdicts) if v] == [(7, ""), (10, "lin")]


def test_an_unknown_does_not_become_known_after_ten_seconds_of_trying():
    verdicts = run(vote(), [WEAK] * 30 + [LIN] * 10, every_s=0.5)
    assert [v.match.holder for v in verdicts if v] == [""]


def test_a_mask_is_told_at_once():
    verdicts = run(vote(), [WEAK] * 5, masked=True)
    assert [i for i, v in enumerate(verdicts) if v] == [2]
    assert verdicts[2].masked is True


def test_a_masked_face_that_matches_is_known_and_said_to_be_masked():
    verdicts = run(vote(), [LIN] * 5, masked=True)
    assert verdicts[2].match.holder == "lin"
    assert verdicts[2].masked is True


def test_without_a_mask_or_liveness_model_neither_is_claimed():
    verdict = run(vote(), [LIN] * 3)[2]
    assert verdict.masked is None
    assert verdict.alive is None


def test_liveness_is_the_mean_of_the_frames():
    ballot = vote()
    for i, alive in enumerate((0.9, 0.1, 0.2)):
        verdict = ballot.add(FaceLook(after(i / 8), LIN, VECTOR, None, alive))
    assert verdict.alive == pytest.approx(0.4)


def test_the_same_person_after_a_bad_frame_is_not_reported_twice():
    assert not any(run(vote(predecessor="lin"), [LIN] * 6))
    assert any(run(vote(predecessor="wang"), [LIN] * 6))


@given(st.lists(st.sampled_from([LIN, WANG, WEAK, TIED, Match()]), max_size=60), st.integers(1, 5))
def test_nobody_is_known_without_enough_frames_of_their_own(matches, votes):
    verdicts = [v for v in run(vote(votes), matches) if v]
    assert len(verdicts) <= 2
    assert len([v for v in verdicts if v.match.holder]) <= 1
    for verdict in verdicts:
        if verdict.match.holder:
            good = sum(m == verdict.match for m in matches)
            assert good >= verdict.votes >= votes


def test_a_face_that_moves_a_little_keeps_its_track():
    tracker = Tracker()
    (first,) = tracker.update([(100, 100, 80, 80)], AT)
    assert tracker.update([(120, 104, 82, 80)], after(0.1)) == [first]
    assert tracker.update([(210, 104, 82, 80)], after(0.2)) == [first]


def test_two_people_keep_their_own_tracks_when_the_order_changes():
    tracker = Tracker()
    lin, wang = tracker.update([(0, 0, 80, 80), (300, 0, 80, 80)], AT)
    assert tracker.update([(305, 0, 80, 80), (4, 0, 80, 80)], after(0.1)) == [wang, lin]


def test_who_comes_back_after_a_second_is_someone_new():
    tracker = Tracker()
    (first,) = tracker.update([(100, 100, 80, 80)], AT)
    (second,) = tracker.update([(100, 100, 80, 80)], after(1.5))
    assert second != first


def test_a_still_scene_keeps_everyone_where_they_are():
    tracker = Tracker()
    (first,) = tracker.update([(100, 100, 80, 80)], AT)
    for i in range(1, 40):
        tracker.hold(after(i * 0.5))
    assert tracker.update([(100, 100, 80, 80)], after(20)) == [first]


def test_boxes_far_apart_or_of_another_size_are_not_one_thing():
    assert nearness((0, 0, 80, 80), (400, 0, 80, 80)) == 0.0
    assert nearness((0, 0, 80, 80), (90, 0, 20, 20)) == 0.0
    assert nearness((0, 0, 80, 80), (0, 0, 80, 80)) == pytest.approx(2.0)


def reading(text: str, confidence: float = 0.95) -> Reading:
    return Reading(text, -1.0 + confidence, confidence, (confidence,) * len(text))


def read_all(ballot: PlateVote, readings, every_s=0.125):
    return [ballot.add(r, after(i * every_s)) for i, r in enumerate(readings)]


def test_a_plate_is_read_once_three_frames_agree():
    verdicts = read_all(PlateVote(AT, 3), [reading("京A12345")] * 6)
    assert [i for i, v in enumerate(verdicts) if v] == [2]
    assert verdicts[2].text == "京A12345"
    assert len(verdicts[2].characters) == 7


def test_one_misread_frame_loses_the_vote():
    texts = ["京A12345", "京A12346", "京A12345", "京A12345"]
    verdicts = [v for v in read_all(PlateVote(AT, 3), map(reading, texts)) if v]
    assert [(v.text, v.votes) for v in verdicts] == [("京A12345", 3)]


def test_doubtful_readings_do_not_vote():
    verdicts = read_all(PlateVote(AT, 3), [reading("京A12345", 0.5)] * 8)
    assert [v.text for v in verdicts if v] == [""]


def test_a_plate_that_cannot_be_read_is_told_as_such():
    verdicts = read_all(PlateVote(AT, 3), [None] * 10)
    assert [(i, v.text) for i, v in enumerate(verdicts) if v] == [(7, "")]


def test_late_agreement_of_two_is_better_than_none():
    readings = [reading("京A12345"), None, None, reading("京A12345"), None, None, None, None]
    assert [v.text for v in read_all(PlateVote(AT, 3), readings) if v] == ["京A12345"]


def test_the_next_car_in_the_same_place_is_noticed():
    ballot = PlateVote(AT, 1)
    read_all(ballot, [reading("京A12345")])
    assert ballot.differs(reading("沪B98765"))
    assert not ballot.differs(reading("京A12346"))
    assert not ballot.differs(reading("沪B98765", 0.3))
    assert not ballot.differs(None)
