"""People and homes: who lives where, since when, and what they agreed to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import HolderKind
from anlin.hub.ids import IdField
from anlin.hub.vault import ClosedTextField


class Role(models.TextChoices):
    """What a member of staff may do; each page and operation names the roles it is for."""

    GUARD = "guard", _("Guard")
    MANAGER = "manager", _("Property manager")
    COMMITTEE = "committee", _("Owners' committee")
    INSTALLER = "installer", _("Installer")
    AUDITOR = "auditor", _("Auditor")
    LIAISON = "liaison", _("Police liaison")


class Community(models.Model):
    """One community: everything below belongs to exactly one."""

    id = IdField("c")
    name = models.CharField(max_length=100)
    zone = models.CharField(max_length=64, default="Asia/Shanghai")
    issuer_key = ClosedTextField()
    """Ed25519 private key that signs QR passes."""
    pin_secret = ClosedTextField(blank=True, default="")
    """Under which PINs are kept, in hex (`core.pin`); made when first needed."""
    least_area_m2 = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(5))
    """Less than this for each person living in a home is flagged as overcrowded; cities differ."""
    face_notice_version = models.CharField(max_length=20, default="1")
    """The version of the notice on face recognition that people agree to now."""
    policy_revision = models.PositiveBigIntegerField(default=0)
    """The newest revision of the policy; one counter for each community."""

    NOT_AUDITED = frozenset({"issuer_key", "pin_secret", "policy_revision"})

    def __str__(self) -> str:
        return self.name


class Building(models.Model):
    """A building or stairwell, as people name it."""

    id = IdField("b")
    community = models.ForeignKey(Community, models.CASCADE, related_name="buildings")
    name = models.CharField(max_length=50)
    map_x = models.FloatField(null=True, blank=True)
    """Where it stands on the community's plan: 0 is its left edge, 1 its right."""
    map_y = models.FloatField(null=True, blank=True)
    """0 is the plan's upper edge, 1 its lower."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "name"], name="one_building_by_name")
        ]

    def __str__(self) -> str:
        return self.name


class UnitUse(models.TextChoices):
    LIVED_IN = "lived_in", _("Lived in by its owner")
    LET = "let", _("Let")
    VACANT = "vacant", _("Vacant")
    OTHER = "other", _("Other use")


class Unit(models.Model):
    """One home; `code` is what stands on its door, such as 1-101."""

    id = IdField("u")
    building = models.ForeignKey(Building, models.CASCADE, related_name="units")
    entrance = models.CharField(max_length=20, blank=True)
    """The stairwell (单元) of its building, where that has more than one."""
    code = models.CharField(max_length=30)
    floor = models.SmallIntegerField(null=True, blank=True)
    area_m2 = models.DecimalField(max_digits=7, decimal_places=2, null=True, blank=True)
    use = models.CharField(max_length=10, choices=UnitUse.choices, default=UnitUse.LIVED_IN)
    external_code = models.CharField(max_length=40, blank=True)
    """The authority's own number for it (标准地址编码), where one was given."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["building", "code"], name="one_unit_by_code")
        ]

    def __str__(self) -> str:
        return self.code


class HolderStatus(models.TextChoices):
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    LEFT = "left", _("Moved out")


class Holder(models.Model):
    """Whoever a credential belongs to."""

    id = IdField("h")
    community = models.ForeignKey(Community, models.CASCADE, related_name="holders")
    name = models.CharField(max_length=60)
    greeting = models.CharField(max_length=30, blank=True)
    """What a gate screen may show; empty shows the first character of the name."""
    kind = models.CharField(max_length=12, default=HolderKind.RESIDENT.value)
    """A `core.entities.HolderKind`."""
    phone = ClosedTextField(blank=True, default="")
    phone_index = models.CharField(max_length=64, blank=True, db_index=True)
    """Keyed fingerprint of the phone's digits, to find a holder by it."""
    status = models.CharField(
        max_length=12, choices=HolderStatus.choices, default=HolderStatus.ACTIVE
    )
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    host = models.ForeignKey(Unit, models.SET_NULL, null=True, blank=True, related_name="visitors")
    """The home that a visitor comes to: nothing else than the way there opens."""
    needs_time = models.BooleanField(default=False)
    """Doors stay open for longer: wheelchair, pram, old age."""
    needs_escort = models.BooleanField(default=False)
    """Admitted only together with one who can escort."""
    can_escort = models.BooleanField(default=False)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    phone_tail = models.CharField(max_length=4, blank=True)
    """The last four digits, in the clear: what an office searches by."""

    NOT_AUDITED = frozenset({"phone", "phone_index", "phone_tail"})

    class Meta:
        indexes = [
            models.Index(fields=["community", "name"], name="holder_by_name"),
            models.Index(fields=["community", "phone_tail"], name="holder_by_phone_tail"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """What a gate screen may show of this holder."""
        return self.greeting or f"{self.name[:1]}**"

    def has_consent(self, purpose: Purpose) -> bool:
        """Say whether a consent for this purpose is in force."""
        return self.consents.filter(purpose=purpose, withdrawn_at=None).exists()


class Document(models.TextChoices):
    ID_CARD = "id_card", _("Identity card")
    RESIDENCE = "residence", _("Residence permit for Hong Kong, Macau and Taiwan")
    FOREIGN_CARD = "foreign_card", _("Foreign permanent resident ID card")
    PASSPORT = "passport", _("Passport")
    OTHER = "other", _("Other document")


class Proven(models.TextChoices):
    NOT = "", _("Not proven")
    CLERK = "clerk", _("Seen by a clerk")
    READER = "reader", _("Read by a document reader")
    OUTSIDE = "outside", _("Confirmed by an outside service")


class Category(models.TextChoices):
    """Of the population registers; see docs/protocols where a city's codes are mapped."""

    REGISTERED = "registered", _("Registered here")
    ELSEWHERE = "elsewhere", _("Registered elsewhere in this city")
    FLOATING = "floating", _("Floating population")
    LODGING = "lodging", _("Temporary lodging")
    ABROAD = "abroad", _("From abroad, Hong Kong, Macau or Taiwan")


class Identity(models.Model):
    """Who a holder is by a document, and who has checked that. Its number stands closed."""

    holder = models.OneToOneField(Holder, models.CASCADE, related_name="identity", primary_key=True)
    document = models.CharField(max_length=14, choices=Document.choices)
    number = ClosedTextField(blank=True, default="")
    number_index = models.CharField(max_length=64, blank=True, db_index=True)
    """Keyed fingerprint of the number, to find a person who is here already."""
    born_on = models.DateField(null=True, blank=True)
    category = models.CharField(max_length=12, choices=Category.choices, blank=True)
    proven = models.CharField(max_length=8, choices=Proven.choices, blank=True, default="")
    proven_by = models.CharField(max_length=150, blank=True)
    """The clerk, reader or service that vouches for it."""
    proven_at = models.DateTimeField(null=True, blank=True)

    NOT_AUDITED = frozenset({"number", "number_index"})

    def __str__(self) -> str:
        return self.holder_id


class AttentionGroup(models.TextChoices):
    LONE_ELDER = "lone_elder", _("Elder living alone")
    DISABLED = "disabled", _("Disabled")
    LEFT_BEHIND = "left_behind", _("Child whose parents are away")
    AID = "aid", _("Receives public aid")
    LEGAL = "legal", _("Named by an authority")


class Attention(models.Model):
    """That somebody looks after a person, or an authority asks to: only with a legal basis.

    Only the roles in `ATTENTION_ROLES` see it; it opens and refuses nothing.
    """

    id = IdField("at")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="attentions")
    group = models.CharField(max_length=12, choices=AttentionGroup.choices)
    legal_basis = models.CharField(max_length=200)
    source = models.CharField(max_length=100)
    """Who asked for it: the person, the family, or an authority with the number of its letter."""
    valid_until = models.DateField()
    recorded_by = models.CharField(max_length=150)
    recorded_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    NOT_AUDITED = frozenset({"legal_basis", "source"})

    def __str__(self) -> str:
        return f"{self.holder_id} {self.id}"


ATTENTION_ROLES = (Role.COMMITTEE, Role.LIAISON)


class Proof(models.TextChoices):
    NONE = "", _("None")
    DEED = "deed", _("Certificate of ownership")
    CONTRACT = "contract", _("Purchase contract")
    LEASE = "lease", _("Lease")
    OWNER = "owner", _("The owner's word")
    HOUSEHOLD = "household", _("Household register")


class ResidencyKind(models.TextChoices):
    OWNER = "owner", _("Owner")
    FAMILY = "family", _("Family")
    TENANT = "tenant", _("Tenant")


class Residency(models.Model):
    """A holder living in a unit for a time; a tenant's lease ends at `ends_at`, exclusive."""

    id = IdField("r")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="residencies")
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="residencies")
    kind = models.CharField(max_length=10, choices=ResidencyKind.choices)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    proof = models.CharField(max_length=10, choices=Proof.choices, blank=True, default="")
    """What shows that the holder may live here."""
    proof_number = models.CharField(max_length=60, blank=True)
    proven_by = models.CharField(max_length=150, blank=True)
    proven_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.holder_id} {self.unit_id}"


class Purpose(models.TextChoices):
    FACE = "face", _("Face recognition")
    PHOTO = "photo", _("Keeping the photograph")


class Consent(models.Model):
    """One line of the ledger: agreed to which text, given by whom, withdrawn when."""

    id = IdField("co")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="consents")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    text_version = models.CharField(max_length=20)
    given_by = models.CharField(max_length=60)
    """Who agreed: the holder, or a guardian for a child under 14."""
    guardian = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="consents_given"
    )
    """The guardian, where one agreed who is registered here."""
    relation = models.CharField(max_length=20, blank=True)
    """What the guardian is to the holder: mother, father, other."""
    given_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["holder", "purpose"],
                condition=Q(withdrawn_at=None),
                name="one_consent_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"{self.holder_id} {self.purpose}"


class StaffProfile(models.Model):
    """A member of staff: one log-in, one role, one community."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="staff_profile"
    )
    community = models.ForeignKey(Community, models.CASCADE, related_name="staff")
    role = models.CharField(max_length=12, choices=Role.choices)
    buildings = models.ManyToManyField(Building, blank=True, related_name="staff")
    """The buildings that this person works for; none means the whole community."""

    def __str__(self) -> str:
        return f"{self.user.get_username()} ({self.role})"


class ResidentProfile(models.Model):
    """A resident's log-in: the holder's own, for phones. It opens and shows only what is theirs."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="resident_profile"
    )
    holder = models.OneToOneField(Holder, models.CASCADE, related_name="login")
    large_print = models.BooleanField(default=False)
    language = models.CharField(max_length=10, blank=True)

    def __str__(self) -> str:
        return self.holder_id


class ApiToken(models.Model):
    """A program's log-in on behalf of a member of staff; shown once, kept as a fingerprint."""

    id = IdField("t")
    staff = models.ForeignKey(StaffProfile, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    NOT_AUDITED = frozenset({"token_hash"})

    def __str__(self) -> str:
        return self.name


def in_force(at: Any) -> Q:
    """Select residencies that hold at a time."""
    return (Q(starts_at=None) | Q(starts_at__lte=at)) & (Q(ends_at=None) | Q(ends_at__gt=at))
