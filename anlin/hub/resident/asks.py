"""Who no longer lives in a home: its owner asks, the property office answers.

Who is to live here asks in `join`, or their owner asks for them: the office has one queue for new
people.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, changing, created, deleted
from anlin.hub.errors import RuleError
from anlin.hub.notices import events as told
from anlin.hub.people import services as people
from anlin.hub.people.models import (
    Residency,
    ResidencyKind,
    StaffProfile,
    Unit,
    in_force,
)
from anlin.hub.permissions import units_in_scope
from anlin.hub.resident.homes import Home, is_child, member, refuse_unless_owner
from anlin.hub.resident.models import AskState, HouseholdAsk, RemoteLeave

MOST_WAITING = 10
"""Of one home at a time; a family is smaller, and an office has other homes."""


def ask_to_remove(
    home: Home, holder_id: str, by: Actor, *, sent_id: str, said: str = ""
) -> HouseholdAsk:
    """Ask the office to end somebody's living here. Nobody is locked out of their home by a tap.

    Raises:
        RuleError: not by an owner, or the owner is to be removed.
    """
    theirs = member(home, holder_id)
    if theirs.holder_id != home.holder.pk:
        refuse_unless_owner(home, theirs.unit)
    if theirs.kind == ResidencyKind.OWNER:
        raise RuleError(_("An owner is removed at the property office, when the home is sold."))
    waiting = theirs.unit.household_asks.filter(
        holder=theirs.holder, state=AskState.WAITING
    ).first()
    if waiting is not None:
        return waiting
    return _ask(
        home,
        theirs.unit,
        by,
        sent_id,
        holder=theirs.holder,
        name=theirs.holder.name,
        residency=theirs.kind,
        said=said.strip(),
    )


def take_back(home: Home, ask_id: str, by: Actor) -> None:
    """Take back an ask that the office has not answered; one that it has stays as it is."""
    ask = HouseholdAsk.objects.filter(pk=ask_id, unit__in=[unit.pk for unit in home.units]).first()
    if ask is None or (ask.asked_by_id != home.holder.pk and not home.owns(ask.unit)):
        raise RuleError(_("This request is not yours."))
    _settle(ask, AskState.CANCELLED, by, "")


def asks_of(home: Home) -> QuerySet[HouseholdAsk]:
    """List what a resident may read of their home's asks: an owner all, another one their own."""
    owned = [unit.pk for unit in home.units if home.owns(unit)]
    rows = HouseholdAsk.objects.filter(unit__in=[unit.pk for unit in home.units])
    if len(owned) < len(home.units):
        rows = rows.filter(unit__in=owned) | rows.filter(asked_by=home.holder)
    return rows.select_related("unit").order_by("-asked_at")


def waiting_for(staff: StaffProfile) -> QuerySet[HouseholdAsk]:
    """List what waits for this member of staff, the oldest first."""
    rows = HouseholdAsk.objects.filter(
        community=staff.community, state=AskState.WAITING, unit__in=units_in_scope(staff)
    )
    return rows.select_related("unit__building", "asked_by", "holder").order_by("asked_at")


def accept(ask: HouseholdAsk, by: Actor) -> None:
    """End the residency that a home asked to end.

    Raises:
        RuleError: answered already, or it can't be done any more.
    """
    with transaction.atomic():
        if not _settle(ask, AskState.ACCEPTED, by, ""):
            raise RuleError(_("This request was answered already."))
        _remove(ask, by)
        told.ask_answered(ask, is_agreed=True)


def refuse(ask: HouseholdAsk, answer: str, by: Actor) -> None:
    """Refuse what a home asked for, with the reason that it reads.

    Raises:
        RuleError: no reason, or answered already.
    """
    if not answer.strip():
        raise RuleError(_("Say why; the owner reads it."), "answer")
    if not _settle(ask, AskState.REFUSED, by, answer.strip()[:200]):
        raise RuleError(_("This request was answered already."))


def allow_remote(home: Home, holder_id: str, is_allowed: bool, by: Actor) -> None:
    """Let a child of the home open doors from a phone, or no longer.

    Raises:
        RuleError: not by an owner, or not a child.
    """
    theirs = member(home, holder_id)
    refuse_unless_owner(home, theirs.unit)
    if not is_child(theirs.holder, timezone.localtime(home.at).date()):
        raise RuleError(_("Only a child under 14 needs the owner's leave for this."))
    community = home.holder.community
    with transaction.atomic():
        standing = RemoteLeave.objects.filter(child=theirs.holder).first()
        if is_allowed and standing is None:
            leave = RemoteLeave.objects.create(
                child=theirs.holder, unit=theirs.unit, given_by=home.holder, given_at=home.at
            )
            created(by, community, leave, action="allow remote opening")
        elif not is_allowed and standing is not None:
            deleted(by, community, standing, action="forbid remote opening")
            standing.delete()


def _ask(home: Home, unit: Unit, by: Actor, sent_id: str, **fields: object) -> HouseholdAsk:
    community = home.holder.community
    if not sent_id:
        raise RuleError(_("Open the form once more."))
    done = HouseholdAsk.objects.filter(sent_id=sent_id, asked_by=home.holder).first()
    if done is not None:
        return done
    if unit.household_asks.filter(state=AskState.WAITING).count() >= MOST_WAITING:
        raise RuleError(
            _("Many requests of your home wait already; the office answers them first.")
        )
    try:
        with transaction.atomic():
            ask = HouseholdAsk.objects.create(
                community=community,
                unit=unit,
                asked_by=home.holder,
                asked_at=timezone.now(),
                sent_id=sent_id,
                **fields,
            )
            created(by, community, ask, action="ask to end residency")
    except IntegrityError:
        # The other of two presses was faster; somebody else's id is no way into their ask.
        return HouseholdAsk.objects.get(sent_id=sent_id, asked_by=home.holder)
    return ask


def _settle(ask: HouseholdAsk, state: AskState, by: Actor, answer: str) -> bool:
    with transaction.atomic():
        fresh = HouseholdAsk.objects.select_for_update().filter(pk=ask.pk).first()
        if fresh is None or fresh.state != AskState.WAITING:
            return False
        with changing(by, fresh.community, fresh, f"household ask {state.value}"):
            fresh.state, fresh.answer = state, answer
            fresh.decided_by, fresh.decided_at = by.name, timezone.now()
        if state is AskState.REFUSED:
            told.ask_answered(fresh, is_agreed=False)
    return True


def _remove(ask: HouseholdAsk, by: Actor) -> None:
    """End somebody's living in this home; who has no other home moves out with everything."""
    if ask.holder is None:
        raise RuleError(_("This person is not registered any more."))
    now = timezone.now()
    here = Residency.objects.filter(in_force(now), holder=ask.holder, unit=ask.unit)
    for residency in here.select_related("holder__community"):
        people.end_residency(residency, by, ends_at=now)
    if not ask.holder.residencies.filter(in_force(timezone.now())).exists():
        people.move_out(ask.holder, by)
