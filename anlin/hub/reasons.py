"""The one catalogue that turns reasons and events into sentences, as a guard would say them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from anlin.core.access import Reason
from anlin.core.device import Refusal
from anlin.core.event import EventKind

REASONS: Mapping[str, Promise] = {
    Reason.GRANTED: _("Admitted"),
    Reason.FREE_EGRESS: _("Way out, always free"),
    Reason.FIRE_RELEASE: _("Open because of a fire alarm"),
    Reason.EMERGENCY_VEHICLE: _("Emergency vehicle, always let through"),
    Reason.TEMPORARY_VEHICLE: _("Visiting vehicle, let in by the parking rule"),
    Reason.UNKNOWN_ACCESS_POINT: _("This access point is not set up"),
    Reason.ACCESS_POINT_DISABLED: _("This access point is switched off"),
    Reason.STALE_PRESENTATION: _("Reported too late to open; the person has left"),
    Reason.LOCKDOWN: _("Locked down"),
    Reason.METHOD_NOT_ACCEPTED: _("This means of access is not accepted here"),
    Reason.PIN_LOCKED: _("Too many wrong PINs; the keypad is closed for a while"),
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
    Reason.PASS_STALE: _("A picture of the pass was shown, or its page stood still"),
    Reason.PASS_SHOWN: _("This code of the pass was used just before; the next one opens"),
    Reason.PASS_UNPROVEN: _("Pass may have been used elsewhere; the network can't tell now"),
    Reason.INVALID_PIN: _("Wrong PIN"),
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
    Reason.OFF_VISITOR_PATH: _("Not on the visitor's way to the host"),
    Reason.UNAUTHORIZED: _("No right to pass here"),
    Reason.NOT_PERMITTED_AT_THIS_TIME: _("No right to pass at this time"),
    Reason.PARKING_NEXT_DOOR: _("Residents park next door, not here"),
    Reason.HOUSEHOLD_FULL: _("All parking spaces of the home are taken"),
    Reason.ANTI_PASSBACK: _("Is inside already, by the last passage"),
    Reason.VEHICLE_ALREADY_INSIDE: _("A vehicle with this plate is inside already"),
    Reason.AREA_FULL: _("The area is full"),
    Reason.INTERLOCKED: _("The other door of the interlock is open"),
    Reason.SECOND_FACTOR_REQUIRED: _("One means is not enough here; show a second one"),
    Reason.ESCORT_REQUIRED: _("May only come in with an escort"),
    Reason.SECOND_PERSON_REQUIRED: _("Opens only for two people together"),
    Reason.RECORDS_UNAVAILABLE: _("The gate can't record events; entry is stopped"),
    Reason.INTERNAL_ERROR: _("Internal error; call the installer"),
}

KINDS: Mapping[str, Promise] = {
    EventKind.ACCESS_GRANTED: _("Admitted"),
    EventKind.ACCESS_DENIED: _("Refused"),
    EventKind.ACCESS_TAKEN: _("Walked through"),
    EventKind.ACCESS_NOT_TAKEN: _("Opened, but nobody went through"),
    EventKind.DURESS: _("Silent call for help: opened under threat"),
    EventKind.WATCH_HIT: _("Somebody or something sought was seen"),
    EventKind.REPEATED_DENIALS: _("Refused several times in a row"),
    EventKind.BIKE_QUESTION: _("Somebody left with another's e-bike: did the owner agree?"),
    EventKind.TAG_SEEN: _("The tag of an e-bike was seen"),
    EventKind.ANTI_PASSBACK_NOTED: _("Came in again without having gone out"),
    EventKind.BOARD_DISAGREES: _("The board decided otherwise than the edge would have"),
    EventKind.TAILGATING: _("More people went through than were let in"),
    EventKind.DOOR_CLOSED: _("Closed"),
    EventKind.DOOR_PREALARM: _("Open for long; warning tone"),
    EventKind.DOOR_HELD: _("Held open too long"),
    EventKind.DOOR_HELD_CLEARED: _("Closed after being held open"),
    EventKind.DOOR_FORCED: _("Forced open"),
    EventKind.DOOR_FORCED_CLEARED: _("Closed after being forced"),
    EventKind.DOOR_FOUND_OPEN: _("Found open at start"),
    EventKind.PORTAL_FOUND: _("Seen for the first time since the edge started"),
    EventKind.PORTAL_UNLOCKED: _("Unlocked until further notice"),
    EventKind.PORTAL_LOCKED: _("Locked again"),
    EventKind.MAINTENANCE_STARTED: _("Maintenance began; it raises no alarms"),
    EventKind.MAINTENANCE_ENDED: _("Maintenance ended"),
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
    EventKind.VEHICLE_WAITING: _("A vehicle waits and nobody has answered"),
    EventKind.VEHICLE_PASSED: _("A vehicle drove through"),
    EventKind.VEHICLE_REVERSED: _("A vehicle drove through the wrong way"),
    EventKind.VEHICLE_FOLLOWED: _("A second vehicle followed through on one opening"),
    EventKind.VEHICLE_OVERSTAYED: _("A vehicle has stayed too long"),
    EventKind.LANE_BYPASSED: _("Something went around the barrier without leave"),
    EventKind.ARM_RAISED: _("The arm was raised by hand"),
    EventKind.ARM_OFF: _("The arm was knocked off"),
    EventKind.ARM_RESTORED: _("The arm works again"),
    EventKind.ARM_STRUCK: _("The arm met something and went up again"),
    EventKind.ARM_STUCK: _("The arm is stuck"),
    EventKind.DEVICE_ONLINE: _("Device is online"),
    EventKind.DEVICE_OFFLINE: _("Device is offline"),
    EventKind.DEVICE_FAULT: _("Device reports a fault"),
    EventKind.DEVICE_FAULT_CLEARED: _("The device's fault is gone"),
    EventKind.TABLE_HELD: _("The device holds everybody it should"),
    EventKind.TABLE_BEHIND: _("The device does not hold everybody yet"),
    EventKind.TABLE_REFUSED: _("The device refuses part of its table"),
    EventKind.MESSAGE_REFUSED: _("A message of the device was refused"),
    EventKind.CAMERA_STATE: _("Camera state changed"),
    EventKind.NODE_STARTED: _("Edge started"),
    EventKind.NODE_STOPPED: _("Edge stopped"),
    EventKind.NODE_STOOD_STILL: _("Edge stood still for a while; what came meanwhile is old"),
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


REFUSALS: Mapping[str, Promise] = {
    Refusal.RELEASE_NOT_SENT: _("The order to open did not reach the device; look at it"),
    Refusal.SETTINGS: _("The device does not run: its settings are wrong"),
    Refusal.UNKNOWN_DRIVER: _("The device does not run: this edge has no driver for it"),
}
"""What stands for a refusal that is none of a device's message."""

_NOT_SENT = " not sent: "
"""In the rule of such an order as edges wrote it before they gave it a code."""


DEVICE_WORDS: Mapping[str, Promise] = {
    # Reasons of boards that decide by themselves (drivers/uhppote.py).
    "swipe": _("Card, by the board's own list"),
    "swipe denied": _("Refused by the board"),
    "no access rights": _("The board gives this card no right here"),
    "wrong password": _("Wrong PIN at the board"),
    "anti-passback": _("Is inside already, by the board's count"),
    "more cards needed": _("The board wants one more card"),
    "first card needed": _("The board wants its first card of the day"),
    "door is normally closed": _("The board keeps this door shut now"),
    "interlock": _("The board's other door is open"),
    "not in allowed time period": _("No right to pass at this time, by the board's list"),
    "invalid time zone": _("The board does not know this card's time profile"),
    "card not valid": _("The board does not know this card"),
    "exit button": _("Exit button of the board"),
    "remote open": _("Opened remotely"),
    # What devices and the ways to them say about themselves.
    "answers": _("answers"),
    "heartbeat": _("calls"),
    "last will or greeting": _("told by its MQTT connection"),
    "secure channel": _("over a secure channel"),
    "clear text": _("without encryption"),
    "does not answer": _("does not answer: check power, wiring, address and baud rate"),
    "does not answer any more": _("does not answer any more"),
    "the connection to the MQTT broker broke": _("the connection to the MQTT broker broke"),
    "secure channel refused: the reader answers, but not with its key": _(
        "secure channel refused: the reader answers, but not with its key"
    ),
    "no key: commission this reader": _("no key: commission this reader"),
    "key file is open to other users": _("key file is open to other users"),
}
"""What devices say, as a guard would say it; what is not here stands as it came."""

_REFUSED_CONNECTION = re.compile(r"(.{1,100}): \[Errno \d+\] Connect(?:ion refused| call failed).*")


_PART = re.compile(r"(reader|door) (\d{1,3})")


def part_text(part: str) -> str:
    """Give the name of a part of a device."""
    match = _PART.fullmatch(part)
    if match is None:
        return part
    number = {"number": match[2]}
    return (
        gettext("reader %(number)s") % number
        if match[1] == "reader"
        else gettext("door %(number)s") % number
    )


def device_text(said: str) -> str | Promise:
    """Give what a device, or the way to it, said about itself or a part of it."""
    part, colon, rest = said.partition(":")
    if colon and _PART.fullmatch(part):
        named, rest = part_text(part), rest.strip()
        return f"{named} · {device_text(rest)}" if rest else named
    if match := _REFUSED_CONNECTION.fullmatch(said):
        place = {"place": match[1]}
        return gettext("%(place)s: nobody listens there; is it on, is the port right?") % place
    return DEVICE_WORDS.get(said, said)


def reason_text(reason: str) -> str | Promise:
    """Give the sentence for a `core.access.Reason`, or for the word of a board that decided."""
    return REASONS.get(reason) or device_text(reason)


def refusal_text(code: str, rule: str) -> str | Promise:
    """Give the sentence for a `core.device.Refusal`; empty for a message that was refused."""
    if not code and _NOT_SENT in rule:
        code = Refusal.RELEASE_NOT_SENT
    return REFUSALS.get(code, "")


def kind_text(kind: str) -> str | Promise:
    """Give the sentence for a `core.event.EventKind`; one that is unknown stands as it came."""
    return KINDS.get(kind, kind)
