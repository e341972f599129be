"""What other rooms ask of the logs."""

from __future__ import annotations

from django.db.models import QuerySet

from anlin.hub.audit.models import View
from anlin.hub.people.models import Holder


def looks_at(holder: Holder) -> QuerySet[View]:
    """Select who looked at this holder, newest first: at the person, and at what is theirs alone.

    `who`, `what`, `at` and `purpose` say it; a look at a watch entry is never among them.
    """
    theirs = [holder.pk, *holder.credentials.values_list("pk", flat=True)]
    looks = View.objects.filter(community=holder.community_id, object_id__in=theirs)
    return looks.exclude(what="watch entry").order_by("-id")
