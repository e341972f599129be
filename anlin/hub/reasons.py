"""The one catalogue that turns reasons and events into sentences, as a guard would say them."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.core.access import Reason
from anlin.core.event import EventKind

REASONS: Mapping[str, Promise] = {
    Reason.GRANTED: _("Admitted"),
    Reason.FREE_EGRESS: _("Way out, always free"),
    Reason.FIRE_RELEASE: _("Open because of a fire alarm"),
    Reason.UNKNOWN_ACCESS_POINT: _("This access point is not set up"),
    Reason.ACCESS_POINT_DISABLED: _("This access point is switched off"),
    Reason.STALE_PRESENTATION: _("Reported too late to open; the person has left"),
    Reason.LOCKDOWN: _("Locked down"),
    Reason.METHOD_NOT_ACCEPTED: _("This means of access is not accepted here"),
    Reason.MASK_WORN: _("Face covered by a mask; use a card, or take it off"),
    Reason.LIVENESS_FAILED: _("Looks like a picture, not a living face"),
    Reason.FACE_NOT_RECOGNISED: _("Unknown face"),
    Reason.PLATE_NOT_READ: _("Number plate could not be read"),
    Reason.VEHICLE_NOT_PRESENT: _("Number plate without a vehicle"),
    Reason.PASS_INVALID: _("QR code is not a valid pass"),
    Reason.PASS_REVOKED: _("Pass was taken back"),
    Reason.PASS_OTHER_COMMUNITY: _("Pass is for another community"),
    Reason.PASS_NOT_ACTIVE: _("Pass is not valid yet"),
    Reason.PASS_EXPIRED: _("Pass has expired"),
    Reason.PASS_WRONG_POINT: _("Pass is not for this access point"),
    Reason.PASS_USED: _("Pass was used up"),
    Reason.CREDENTIAL_UNKNOWN: _("Not registered"),
    Reason.CREDENTIAL_NOT_ENABLED: _("Suspended"),
    Reason.CREDENTIAL_LOST: _("Reported lost"),
    Reason.CREDENTIAL_REVOKED: _("Taken back"),
    Reason.CREDENTIAL_NOT_ACTIVE: _("Not valid yet"),
    Reason.CREDENTIAL_EXPIRED: _("No longer valid"),
    Reason.HOLDER_UNKNOWN: _("Its holder is not registered"),
    Reason.HOLDER_NOT_ENABLED: _("Its holder is suspended or has moved out"),
    Reason.HOLDER_NOT_ACTIVE: _("Its holder is not admitted yet"),
    Reason.HOLDER_EXPIRED: _("Its holder is no longer admitted"),
    Reason.RESIDENCY_NOT_ACTIVE: _("Lease has not begun"),
    Reason.RESIDENCY_ENDED: _("Lease has ended"),
    Reason.UNAUTHORIZED: _("No right to pass here"),
    Reason.NOT_PERMITTED_AT_THIS_TIME: _("No right to pass at this time"),
    Reason.SECOND_FACTOR_REQUIRED: _("One means is not enough here; show a second one"),
    Reason.RECORDS_UNAVAILABLE: _("The gate can't record events; entry is stopped"),
    Reason.INTERNAL_ERROR: _("Internal error; call the installer"),
}

KINDS: Mapping[str, Promise] = {
    EventKind.ACCESS_GRANTED: _("Admitted"),
    EventKind.ACCESS_DENIED: _("Refused"),
    EventKind.ACCESS_TAKEN: _("Walked through"),
    EventKind.ACCESS_NOT_TAKEN: _("Opened, but nobody went through"),
    EventKind.DOOR_CLOSED: _("Closed"),
    EventKind.DOOR_PREALARM: _("Open for long; warning tone"),
    EventKind.DOOR_HELD: _("Held open too long"),
    EventKind.DOOR_HELD_CLEARED: _("Closed after being held open"),
    EventKind.DOOR_FORCED: _("Forced open"),
    EventKind.DOOR_FORCED_CLEARED: _("Closed after being forced"),
    EventKind.DOOR_FOUND_OPEN: _("Found open at start"),
    EventKind.PORTAL_UNLOCKED: _("Unlocked until further notice"),
    EventKind.PORTAL_LOCKED: _("Locked again"),
    EventKind.LOCKDOWN_STARTED: _("Lockdown began"),
    EventKind.LOCKDOWN_ENDED: _("Lockdown ended"),
    EventKind.FIRE_RELEASED: _("Opened by the fire alarm"),
    EventKind.FIRE_CLEARED: _("Fire input went quiet; still open"),
    EventKind.FIRE_RESTORED: _("Back to normal after the fire alarm"),
    EventKind.CONTACT_FAULT: _("Door contact is faulty"),
    EventKind.CONTACT_FAULT_CLEARED: _("Door contact works again"),
    EventKind.TAMPER: _("Enclosure was opened"),
    EventKind.TAMPER_CLEARED: _("Enclosure was closed"),
    EventKind.VEHICLE_ARRIVED: _("A vehicle stands before the barrier"),
    EventKind.VEHICLE_LEFT: _("The vehicle has left the barrier"),
    EventKind.DEVICE_ONLINE: _("Device is online"),
    EventKind.DEVICE_OFFLINE: _("Device is offline"),
    EventKind.DEVICE_FAULT: _("Device reports a fault"),
    EventKind.MESSAGE_REFUSED: _("A message of the device was refused"),
    EventKind.CAMERA_STATE: _("Camera state changed"),
    EventKind.NODE_STARTED: _("Edge started"),
    EventKind.NODE_STOPPED: _("Edge stopped"),
    EventKind.CLOCK_JUMPED: _("The clock of the edge jumped"),
    EventKind.POLICY_APPLIED: _("New rules are in force"),
    EventKind.POLICY_REFUSED: _("New rules were refused"),
    EventKind.COMMAND_DONE: _("Command carried out"),
    EventKind.COMMAND_REFUSED: _("Command refused"),
    EventKind.UPLINK_LOST: _("Edge lost the hub; it goes on by itself"),
    EventKind.UPLINK_BACK: _("Edge reached the hub again"),
    EventKind.EVENT_QUARANTINED: _("An event was set aside"),
    EventKind.STORAGE_LOW: _("Storage is nearly full"),
    EventKind.STORAGE_RESTORED: _("Storage has room again"),
}


def reason_text(reason: str) -> str | Promise:
    """Give the sentence for a `core.access.Reason`; one that is unknown stands as it came."""
    return REASONS.get(reason, reason)


def kind_text(kind: str) -> str | Promise:
    """Give the sentence for a `core.event.EventKind`; one that is unknown stands as it came."""
    return KINDS.get(kind, kind)
