"""Opens a receipt when a face is taken back, whoever did it and for whatever reason."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential
from anlin.hub.privacy.receipts import open_receipt


@receiver(post_save, sender=Credential, dispatch_uid="privacy receipt")
def face_taken_back(instance: Credential, **_: Any) -> None:
    if instance.method == Method.FACE.value and instance.status == Status.REVOKED.value:
        open_receipt(instance)
