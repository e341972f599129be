from __future__ import annotations

from datetime import timedelta

import pytest

from anlin.hub.access.faces import keep_face
from anlin.hub.access.models import FaceTemplate
from anlin.hub.audit.models import Change
from anlin.hub.console.tests.world import BY
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Consent, Purpose
from anlin.hub.people.services import give_consent
from anlin.hub.visits import faces, services
from anlin.hub.visits.models import Visit
from anlin.hub.visits.tests.conftest import Visits
from anlin.vision.enrol import Enrolled
from anlin.vision.quality import Quality

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def invited(visits: Visits) -> Visit:
    return services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))


def test_no_face_is_taken_where_the_community_takes_none_or_nobody_agreed(visits: Visits) -> None:
    visit = invited(visits)
    with pytest.raises(RuleError):
        faces.add(visit, b"x", agrees=True)
    services.set_rules(visits.community, BY, takes_faces=True)
    with pytest.raises(RuleError):
        faces.add(visit, b"x", agrees=False)
    assert not Consent.objects.filter(holder=visit.holder).exists()
    with pytest.raises(RuleError):
        faces.add(visit, b"", agrees=True)


def test_a_picture_without_a_face_leaves_no_agreement_behind(visits: Visits) -> None:
    services.set_rules(visits.community, BY, takes_faces=True)
    visit = invited(visits)
    with pytest.raises(RuleError):
        faces.add(visit, b"no picture at all", agrees=True)
    assert not faces.has_face(visit)
    assert Consent.objects.filter(holder=visit.holder, withdrawn_at=None).count() == 0


@pytest.mark.parametrize("by_visitor", [True, False])
def test_a_visitor_s_face_goes_with_the_visit_or_when_the_visitor_says_so(
    visits: Visits, by_visitor: bool
) -> None:
    services.set_rules(visits.community, BY, takes_faces=True)
    visit = invited(visits)
    assert visit.holder is not None
    give_consent(visit.holder, Purpose.FACE, services.VISITOR, given_by="赵来")
    made = Enrolled(bytes(256), "reid_0095", Quality(200.0, 0.06, 120.0, 0.0, 0.0), b"")
    keep_face(visit.holder, made, b"", services.VISITOR)
    assert faces.has_face(visit)
    assert FaceTemplate.objects.count() == 1
    if by_visitor:
        faces.remove(visit)
    else:
        services.tick(visits.now + timedelta(hours=4))
    assert FaceTemplate.objects.count() == 0
    assert not Consent.objects.filter(holder=visit.holder, withdrawn_at=None).exists()
    assert Change.objects.filter(action="delete face").exists()
