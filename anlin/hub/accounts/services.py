"""What is done about log-ins: each in a transaction, with a line in the change log."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from anlin.hub.audit.log import Actor, created
from anlin.hub.people.models import Holder, ResidentProfile


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
