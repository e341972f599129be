"""Who somebody is: recorded, found again, proven, and shown in full only for a stated purpose."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core import identity as core
from anlin.core.identity import Fault, IdentityError
from anlin.hub import vault
from anlin.hub.audit.log import Actor, changing, created, deleted, noted, viewed
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Document, Holder, Identity, Proven
from anlin.hub.people.readers import read_line
from anlin.hub.people.verifiers import Verifier

NUMBER_VIEW = "id number"
"""As what a look at a full number stands in the view log."""

_MIN_PURPOSE = 2

FAULTS: dict[Fault, Promise] = {
    Fault.EMPTY: gettext_lazy("Type the number on the document."),
    Fault.LENGTH: gettext_lazy(
        "This number has the wrong length: an identity card has 18 characters, a passport 5 to 20."
    ),
    Fault.CHARACTERS: gettext_lazy(
        "Only digits and letters stand on such a document; "
        "of an identity number only the last may be X."
    ),
    Fault.CHECK: gettext_lazy(
        "A digit is wrong: the last character does not check the others. "
        "Compare it with the card, digit by digit."
    ),
    Fault.DATE: gettext_lazy("Digits 7 to 14 of this number are no date of birth."),
    Fault.NOT_YET_BORN: gettext_lazy("This day of birth is still to come."),
    Fault.TOO_OLD: gettext_lazy("Nobody is that old; look at the year of birth again."),
    Fault.IS_RESIDENCE: gettext_lazy(
        "This is the number of a residence permit for Hong Kong, Macau or Taiwan: "
        "choose that document."
    ),
    Fault.NOT_RESIDENCE: gettext_lazy(
        "A residence permit's number begins with 810000, 820000 or 830000."
    ),
    Fault.NOT_FOREIGN_CARD: gettext_lazy(
        "A foreign permanent resident's number is 18 digits and begins with 9."
    ),
}


def record_identity(
    holder: Holder,
    document: Document,
    number: str,
    by: Actor,
    *,
    category: str | None = None,
    born_on: date | None = None,
) -> Identity:
    """Write down who a holder is by a document; whatever proved another number counts no more.

    A number that tells the day of birth wins over one that was typed. Somebody who is here
    already under the same number is not refused and not merged: `same_person` names them.

    Raises:
        RuleError: no such document is numbered so, or the day of birth can't be.
    """
    kind = core.Document(document.value)
    today = timezone.localdate()
    field = "number"
    try:
        read = core.read(kind, number, today)
        if read.born_on is None and born_on is not None:
            field = "born_on"
            core.refuse_birth(kind, born_on, today)
    except IdentityError as error:
        raise RuleError(str(FAULTS[error.fault]), field) from None
    index = number_index(document, read.text)
    with transaction.atomic():
        found = Identity.objects.select_for_update().filter(holder=holder).first()
        if found is None:
            found = Identity(
                holder=holder,
                document=document,
                number=read.text,
                number_index=index,
                born_on=read.born_on or born_on,
                category=category or "",
            )
            found.save(force_insert=True)
            created(by, holder.community, found, action="record identity")
        else:
            is_other = found.number_index != index
            with changing(by, holder.community, found, "record identity"):
                found.document = document
                found.number, found.number_index = read.text, index
                found.born_on = read.born_on or born_on
                if category is not None:
                    found.category = category
                if is_other:
                    found.proven, found.proven_by, found.proven_at = Proven.NOT, "", None
            if is_other:
                # The number itself never enters the change log; that it is another one does.
                noted(by, holder.community, found, "other number")
    holder.identity = found
    return found


def forget_identity(holder: Holder, by: Actor) -> None:
    """Delete what is written about a holder's document; done twice it is done once."""
    with transaction.atomic():
        found = Identity.objects.select_for_update().filter(holder=holder).first()
        if found is not None:
            deleted(by, holder.community, found, action="forget identity")
            found.delete()


def same_person(identity: Identity) -> list[Holder]:
    """List the others in the community under the same number: one person, or a wrong digit."""
    found = Holder.objects.filter(
        community=identity.holder.community_id, identity__number_index=identity.number_index
    )
    return list(found.exclude(pk=identity.holder_id).order_by("created_at", "id"))


def doubles(community_id: str) -> list[list[Holder]]:
    """List every set of holders of a community who have one number between them."""
    rows = (
        Identity.objects.filter(holder__community=community_id)
        .exclude(number_index="")
        .select_related("holder")
        .order_by("holder__created_at", "pk")
    )
    sets: dict[str, list[Holder]] = {}
    for row in rows.defer("number"):
        sets.setdefault(row.number_index, []).append(row.holder)
    return [one for one in sets.values() if len(one) > 1]


def find_by_number(community_id: str, document: Document, number: str) -> Iterable[Holder]:
    """Find holders by a whole number as it was typed; nothing is found by a part of one."""
    try:
        text = core.read(core.Document(document.value), number, timezone.localdate()).text
    except IdentityError:
        return Holder.objects.none()
    return Holder.objects.filter(
        community=community_id, identity__number_index=number_index(document, text)
    )


def prove_by_clerk(identity: Identity, by: Actor) -> None:
    """Write down that a named clerk has held the document and compared it with the person."""
    _prove(identity, Proven.CLERK, by.name, by)


def prove_by_reader(holder: Holder, line: str, by: Actor) -> Identity:
    """Take over and prove what a document reader typed.

    Raises:
        RuleError: no document was read, it names somebody else, or another number than recorded.
    """
    reader, read = read_line(line, timezone.localdate())
    if read.name and read.name != "".join(holder.name.split()):
        raise RuleError(
            _("The document is in the name of %(read)s, not %(name)s. Correct the name first.")
            % {"read": read.name, "name": holder.name},
            "line",
        )
    document = Document(read.document.value)
    standing = Identity.objects.filter(holder=holder).first()
    if standing is not None and standing.number_index != number_index(document, read.number):
        raise RuleError(
            _("The document has another number than the one recorded. Correct that first."), "line"
        )
    with transaction.atomic():
        found = record_identity(holder, document, read.number, by, born_on=read.born_on)
        _prove(found, Proven.READER, f"{reader} / {by.name}", by)
    return found


def prove_outside(identity: Identity, service: Verifier, by: Actor) -> bool:
    """Ask an outside service about a holder who agreed to that; say whether it confirms.

    Raises:
        VerifierError: it gave no answer; nothing is written but that it was asked.
    """
    community = identity.holder.community
    noted(by, community, identity, "ask outside", service=service.name)
    # Asked outside any transaction: it may take seconds.
    is_match = service.confirms(
        core.Document(identity.document), identity.number, identity.holder.name
    )
    asked_about = identity.number_index
    identity.refresh_from_db()
    if identity.number_index != asked_about:
        raise RuleError(_("The number was changed meanwhile; ask again."))
    if is_match:
        _prove(identity, Proven.OUTSIDE, service.name, by)
    else:
        noted(by, community, identity, "not confirmed", service=service.name)
    return is_match


def reveal_number(identity: Identity, purpose: str, by: Actor) -> str:
    """Give the full number, and write down who looked and what for.

    Raises:
        RuleError: no purpose was stated.
    """
    said = " ".join(purpose.split())
    if len(said) < _MIN_PURPOSE:
        raise RuleError(_("Say what the number is needed for."), "purpose")
    viewed(by, identity.holder.community, NUMBER_VIEW, [identity.holder_id], purpose=said)
    return identity.number


def number_index(document: Document, text: str) -> str:
    """Give what a number in its one form is found by."""
    return vault.fingerprint(f"{document.value}:{text}", "identity number")


def _prove(identity: Identity, how: Proven, who: str, by: Actor) -> None:
    with (
        transaction.atomic(),
        changing(by, identity.holder.community, identity, f"prove by {how.value}"),
    ):
        identity.proven = how
        identity.proven_by = who[:150]
        identity.proven_at = timezone.now()
