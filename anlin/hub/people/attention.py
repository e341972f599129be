"""Attention groups: recorded on a legal basis, seen by few, and over by themselves."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Attention, AttentionGroup, Community, Holder, HolderStatus

LONGEST = timedelta(days=366)
"""After a year somebody asks again whether it still holds."""

_MIN_WORDS = 4


def record_attention(
    holder: Holder,
    group: AttentionGroup,
    legal_basis: str,
    source: str,
    valid_until: date,
    by: Actor,
) -> Attention:
    """Write down that somebody looks after a person; the same said twice is written once.

    Raises:
        RuleError: no legal basis or source, over already, or for longer than a year.
    """
    basis, who = " ".join(legal_basis.split()), " ".join(source.split())
    if len(basis) < _MIN_WORDS:
        raise RuleError(
            _("Name the law or the consent that it rests on; without one it may not be recorded."),
            "legal_basis",
        )
    if len(who) < 2:
        raise RuleError(_("Say who asked for it."), "source")
    today = timezone.localdate()
    if valid_until < today:
        raise RuleError(_("This day is over already."), "valid_until")
    if valid_until > today + LONGEST:
        raise RuleError(
            _("At most a year; then somebody asks again whether it still holds."), "valid_until"
        )
    if holder.status == HolderStatus.LEFT:
        raise RuleError(_("%(name)s has moved out.") % {"name": holder.name})
    with transaction.atomic():
        Holder.objects.select_for_update().get(pk=holder.pk)
        standing = holder.attentions.filter(
            group=group, valid_until=valid_until, source=who, ended_at=None
        ).first()
        if standing is not None:
            return standing
        found = Attention(
            holder=holder,
            group=group,
            legal_basis=basis,
            source=who,
            valid_until=valid_until,
            recorded_by=by.name,
        )
        found.save(force_insert=True)
        created(by, holder.community, found, action="record attention")
    return found


def end_attention(attention: Attention, by: Actor) -> None:
    """End it before its day; done twice it is done once."""
    with transaction.atomic():
        fresh = Attention.objects.select_for_update().get(pk=attention.pk)
        if fresh.ended_at is None:
            with changing(by, attention.holder.community, fresh, "end attention"):
                fresh.ended_at = timezone.now()


def standing(community: Community) -> QuerySet[Attention]:
    """List what stands today: neither ended nor past its day, of people who live here."""
    found = Attention.objects.filter(
        holder__community=community, ended_at=None, valid_until__gte=timezone.localdate()
    ).exclude(holder__status=HolderStatus.LEFT)
    return found.select_related("holder").order_by("valid_until", "id")
