"""What is done about log-ins: each in a transaction, with a line in the change log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.signals import post_save
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.accounts import mfa, sessions
from anlin.hub.accounts.models import FactorDue, FactorRule
from anlin.hub.audit.log import Actor, changed, changing, created, noted
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import (
    Building,
    Community,
    Holder,
    HolderStatus,
    ResidentProfile,
    Role,
    StaffProfile,
)

GIVEN_BY_MANAGER = (Role.GUARD, Role.MANAGER, Role.INSTALLER)
"""Roles that the property company gives. Who watches over it gets a log-in on the hub's machine."""

NAME_CHARS = 30
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,29}")


def resident_login(holder: Holder, by: Actor) -> ResidentProfile:
    """Give a holder's log-in; make it where there is none yet. It has no password, ever."""
    with transaction.atomic():
        found = ResidentProfile.objects.select_related("user").filter(holder=holder).first()
        if found is not None:
            return found
        user = User.objects.create_user(f"resident:{holder.pk}")
        profile = ResidentProfile.objects.create(user=user, holder=holder)
        created(by, holder.community, profile, action="add log-in")
    return profile


def add_staff(
    community: Community,
    username: str,
    role: Role,
    by: Actor,
    *,
    name: str = "",
    buildings: Sequence[Building] = (),
) -> tuple[StaffProfile, str]:
    """Give somebody a log-in; its password is made here and shown once.

    Raises:
        RuleError: the name is taken or is no log-in name, or the role is not the manager's to give.
    """
    if not _USERNAME.fullmatch(username):
        raise RuleError(
            _("A log-in name has 2 to 30 small letters, digits, dots or dashes, such as guo.li."),
            "username",
        )
    _refuse_role(role)
    with transaction.atomic():
        staff, password = people.add_staff(community, username, role, by, name=name.strip())
        set_buildings(staff, buildings, by)
    return staff, password


def change_staff(
    staff: StaffProfile, by: Actor, *, name: str, role: Role, buildings: Sequence[Building]
) -> None:
    """Change what somebody is called, does, and works for; a new role ends every session.

    Raises:
        RuleError: the last manager would be none, or the role is not the manager's to give.
    """
    _refuse_watcher(staff)
    with transaction.atomic():
        if role != staff.role:
            _refuse_role(role)
            _refuse_last_manager(staff)
            with changing(by, staff.community, staff, "change role"):
                staff.role = role
            sessions.end_all(staff.user, by.name)
        if name.strip() != staff.user.last_name:
            before = {"name": staff.user.last_name}
            staff.user.last_name = name.strip()[:NAME_CHARS]
            staff.user.save(update_fields=["last_name"])
            after = {"name": staff.user.last_name}
            changed(by, staff.community, staff, "change", before, after)
        set_buildings(staff, buildings, by)


def set_buildings(staff: StaffProfile, buildings: Sequence[Building], by: Actor) -> None:
    """Bind somebody to buildings; none means the whole community."""
    if any(building.community_id != staff.community_id for building in buildings):
        raise RuleError(_("This building belongs to another community."), "buildings")
    with transaction.atomic():
        before = sorted(staff.buildings.values_list("name", flat=True))
        after = sorted(building.name for building in buildings)
        if before == after:
            return
        staff.buildings.set(buildings)
        changed(
            by, staff.community, staff, "change scope", {"buildings": before}, {"buildings": after}
        )


def end_staff(staff: StaffProfile, by: Actor) -> None:
    """End a log-in at once: sessions, second factors and programs' tokens go with it.

    Raises:
        RuleError: it is one's own, the last manager's, or not the manager's to end.
    """
    _refuse_watcher(staff)
    if by.user is not None and by.user.pk == staff.user_id:
        raise RuleError(_("Nobody ends their own log-in; ask another manager."))
    _refuse_last_manager(staff)
    with transaction.atomic():
        staff.user.is_active = False
        staff.user.set_unusable_password()
        staff.user.save(update_fields=["is_active", "password"])
        mfa.remove_all(staff.user)
        sessions.end_all(staff.user, by.name)
        for token in staff.tokens.filter(revoked_at=None):
            people.revoke_api_token(token, by)
        noted(by, staff.community, staff, "end log-in")


def readmit_staff(staff: StaffProfile, by: Actor) -> str:
    """Open a log-in that was ended again; give its new password."""
    _refuse_watcher(staff)
    with transaction.atomic():
        staff.user.is_active = True
        staff.user.save(update_fields=["is_active"])
        noted(by, staff.community, staff, "readmit")
        return people.new_password(staff, by)


def new_password(staff: StaffProfile, by: Actor) -> str:
    """Give somebody who forgot theirs a new password; every session ends."""
    _refuse_watcher(staff)
    with transaction.atomic():
        password = people.new_password(staff, by)
        sessions.end_all(staff.user, by.name)
    return password


def change_password(staff: StaffProfile, old: str, new: str, by: Actor) -> None:
    """Change one's own password; all other sessions end.

    Raises:
        RuleError: the old one is wrong, or the new one too weak.
    """
    user = staff.user
    if not user.check_password(old):
        raise RuleError(_("This is not your password of now."), "old")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise RuleError(" ".join(error.messages), "new") from error
    if user.check_password(new):
        raise RuleError(_("This is the password that you have already."), "new")
    with transaction.atomic():
        user.set_password(new)
        user.save(update_fields=["password"])
        noted(by, staff.community, staff, "change password")


def reset_factors(staff: StaffProfile, by: Actor) -> None:
    """Take the second factors of somebody who lost their phone away; every session ends.

    Raises:
        RuleError: it is one's own, or not the manager's to reset.
    """
    _refuse_watcher(staff)
    if by.user is not None and by.user.pk == staff.user_id:
        raise RuleError(_("Your own second factor is reset by another manager, or on the hub."))
    with transaction.atomic():
        mfa.remove_all(staff.user)
        sessions.end_all(staff.user, by.name)
        noted(by, staff.community, staff, "reset second factor")


def set_factor_rule(
    community: Community, roles: Sequence[Role], days: int, by: Actor
) -> FactorRule:
    """Say which roles must have a second factor, and within how many days.

    Raises:
        RuleError: no number of days between 0 and 30.
    """
    if not 0 <= days <= 30:
        raise RuleError(_("Give between 0 and 30 days."), "days")
    with transaction.atomic():
        rule, _is_new = FactorRule.objects.get_or_create(community=community)
        with changing(by, community, rule, "change"):
            rule.roles = sorted(role.value for role in roles)
            rule.days = days
        # Who had a long time and gets a short one has the short one from now.
        latest = timezone.now() + timedelta(days=days)
        due = FactorDue.objects.filter(user__staff_profile__community=community)
        due.filter(due_at__gt=latest).update(due_at=latest)
    return rule


def noted_about(user: User, by: Actor, action: str, **after: Any) -> None:
    """Write that somebody changed how they log in, about staff and residents alike."""
    staff = StaffProfile.objects.select_related("community").filter(user=user).first()
    if staff is not None:
        noted(by, staff.community, staff, action, **after)
        return
    profile = ResidentProfile.objects.select_related("holder__community").filter(user=user).first()
    if profile is not None:
        noted(by, profile.holder.community, profile, action, **after)


def _refuse_role(role: Role) -> None:
    if role not in GIVEN_BY_MANAGER:
        raise RuleError(
            _("This role watches over the property company: it is given on the hub's machine."),
            "role",
        )


def _refuse_watcher(staff: StaffProfile) -> None:
    _refuse_role(Role(staff.role))


def _refuse_last_manager(staff: StaffProfile) -> None:
    if staff.role != Role.MANAGER:
        return
    others = StaffProfile.objects.filter(
        community=staff.community_id, role=Role.MANAGER, user__is_active=True
    ).exclude(pk=staff.pk)
    if not others.exists():
        raise RuleError(_("This is the last manager; add another one first."), "role")


def _holder_saved(sender: Any, instance: Holder, **_more: Any) -> None:
    """End the sessions of who was suspended or moved out, by whichever way that was done."""
    if instance.status == HolderStatus.ACTIVE:
        return
    profile = ResidentProfile.objects.select_related("user").filter(holder=instance.pk).first()
    if profile is not None:
        sessions.end_all(profile.user, instance.status)


def listen() -> None:
    """Hear of every holder that is saved."""
    post_save.connect(_holder_saved, sender=Holder, dispatch_uid="anlin holder saved")
