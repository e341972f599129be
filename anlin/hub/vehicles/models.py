"""Cars and e-bikes: whose they are, who drives them, and whether the barrier knows them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import Status
from anlin.core.plate import PROVINCES, PlateKind
from anlin.hub.access.models import Credential
from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Holder, Unit

NEW_ENERGY = frozenset({PlateKind.NEW_ENERGY_SMALL.value, PlateKind.NEW_ENERGY_LARGE.value})


class VehicleState(models.TextChoices):
    REQUESTED = "requested", _("Waits for the office")
    APPROVED = "approved", _("Admitted")
    REFUSED = "refused", _("Turned down")
    ENDED = "ended", _("Taken out")


class Vehicle(models.Model):
    """A car by its plate. While it is admitted its plate is a credential of its owner."""

    id = IdField("ve")
    community = models.ForeignKey(Community, models.CASCADE, related_name="vehicles")
    owner = models.ForeignKey(Holder, models.CASCADE, related_name="vehicles")
    unit = models.ForeignKey(Unit, models.SET_NULL, null=True, blank=True, related_name="vehicles")
    """The home that it belongs to."""
    plate = models.CharField(max_length=16)
    """As `core.plate` writes it."""
    kind = models.CharField(max_length=20)
    """A `core.plate.PlateKind`."""
    brand = models.CharField(max_length=40, blank=True)
    colour = models.CharField(max_length=20, blank=True)
    space = models.CharField(max_length=30, blank=True)
    """The parking space as it is called in the community."""
    drivers = models.ManyToManyField(Holder, blank=True, related_name="drives")
    """Who drives it beside its owner."""
    credential = models.OneToOneField(
        Credential, models.SET_NULL, null=True, blank=True, related_name="vehicle"
    )
    state = models.CharField(
        max_length=10, choices=VehicleState.choices, default=VehicleState.REQUESTED
    )
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    refusal = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["community", "plate"],
                condition=Q(state="approved"),
                name="one_vehicle_by_plate",
            ),
            models.UniqueConstraint(
                fields=["owner", "plate"],
                condition=Q(state="requested"),
                name="one_request_by_plate",
            ),
        ]
        indexes = [
            # What the office's queue and its list read.
            models.Index(fields=["community", "state"], name="vehicle_by_state"),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def shown(self) -> str:
        """Give the plate as it is painted, with a dot after the office's letter."""
        is_usual = self.plate[:1] in PROVINCES and len(self.plate) >= 7
        return f"{self.plate[:2]}·{self.plate[2:]}" if is_usual else self.plate

    @property
    def is_new_energy(self) -> bool:
        return self.kind in NEW_ENERGY

    @property
    def is_let_in(self) -> bool:
        """Say whether the barrier knows it now, as far as the credential says."""
        return (
            self.state == VehicleState.APPROVED
            and self.credential is not None
            and self.credential.status == Status.ACTIVE.value
        )


class EBike(models.Model):
    """An electric bicycle by its plate, its tag or its battery: whatever of these it has."""

    id = IdField("eb")
    community = models.ForeignKey(Community, models.CASCADE, related_name="ebikes")
    owner = models.ForeignKey(Holder, models.CASCADE, related_name="ebikes")
    plate = models.CharField(max_length=20, blank=True)
    """Cities number them each in their own way: free text, in capitals and without gaps."""
    tag = models.CharField(max_length=40, blank=True)
    """Of the radio tag that readers at gates and lifts report, in hex capitals."""
    battery = models.CharField(max_length=40, blank=True)
    brand = models.CharField(max_length=40, blank=True)
    colour = models.CharField(max_length=20, blank=True)
    recorded_by = models.CharField(max_length=150)
    recorded_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["community", name],
                condition=Q(ended_at=None) & ~Q(**{name: ""}),
                name=f"one_ebike_by_{name}",
            )
            for name in ("plate", "tag", "battery")
        ]

    def __str__(self) -> str:
        return self.id


class VehicleRule(models.Model):
    """How a community takes up cars."""

    community = models.OneToOneField(
        Community, models.CASCADE, related_name="vehicle_rule", primary_key=True
    )
    needs_approval = models.BooleanField(default=True)
    """Whether a car that a resident adds waits for the office."""

    def __str__(self) -> str:
        return self.community_id
