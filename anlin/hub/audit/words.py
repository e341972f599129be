"""The words of the logs: what stands in the tables as a name, said in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from anlin.hub.console import words as console
from anlin.hub.people.models import Role

MODELS: Mapping[str, Promise] = {
    "people.community": _("Community"),
    "people.building": _("Building"),
    "people.unit": _("Home"),
    "people.holder": _("Person"),
    "people.identity": _("Identity"),
    "people.attention": _("Attention"),
    "people.residency": _("Residency"),
    "people.consent": _("Consent"),
    "people.staffprofile": _("Member of staff"),
    "people.residentprofile": _("Resident's log-in"),
    "people.apitoken": _("Token of a program"),
    "accounts.factorrule": _("Rule on second factors"),
    "devices.node": _("Edge node"),
    "devices.device": _("Device"),
    "devices.command": _("Command"),
    "access.area": _("Area"),
    "access.parking": _("Parking rule"),
    "access.household": _("Household's cars"),
    "access.holidaytable": _("Holidays"),
    "access.schedule": _("Schedule"),
    "access.portal": _("Portal"),
    "access.accesspoint": _("Access point"),
    "access.accessrule": _("Access rule"),
    "access.credential": _("Credential"),
    "access.photo": _("Photograph"),
    "access.watchentry": _("Watch entry"),
    "access.watchfeedback": _("Feedback on a watch entry"),
    "visits.visit": _("Visit"),
    "vehicles.vehicle": _("Vehicle"),
    "privacy.request": _("Request about one's data"),
    "join.application": _("Application"),
    "office.job": _("List job"),
    "access.visitorpass": _("Visitor's pass"),
    "access.facetemplate": _("Face template"),
    "vehicles.ebike": _("E-bike"),
    "vehicles.vehiclerule": _("Rule on vehicles"),
    "visits.visitrules": _("Rules of visits"),
    "visits.bar": _("Bar from visiting"),
    "resident.householdask": _("Request of a home"),
    "resident.carecontact": _("Care contact"),
    "resident.helpline": _("Help line"),
    "resident.remoteleave": _("Leave to open by phone"),
    "notices.notice": _("Notice to residents"),
    "notices.pushdevice": _("Phone that takes messages"),
    "notices.wishes": _("How somebody is reached"),
    "privacy.notice": _("Text told to people"),
    "privacy.settings": _("How long data is kept"),
    "privacy.site": _("Camera site"),
    "privacy.assessment": _("Impact assessment"),
    "state.screenkey": _("Key of a screen"),
    "state.noticed": _("Answer to a question"),
}

ACTIONS: Mapping[str, Promise] = {
    "add": _("added"),
    "change": _("changed"),
    "remove": _("removed"),
    "delete": _("deleted"),
    "import": _("imported"),
    "register": _("registered"),
    "suspend": _("suspended"),
    "resume": _("let in again"),
    "move out": _("moved out"),
    "end residency": _("ended the residency"),
    "give consent": _("took down a consent"),
    "withdraw consent": _("took down a withdrawal"),
    "end consent": _("ended the consent"),
    "renew consent": _("renewed the consent"),
    "revoke": _("took back"),
    "lost": _("reported lost"),
    "issue pass": _("issued a pass"),
    "revoke pass": _("took a pass back"),
    "issue code": _("issued a code"),
    "enrol": _("enrolled"),
    "add staff": _("added to the staff"),
    "new password": _("gave a new password"),
    "add token": _("made a token"),
    "revoke token": _("ended a token"),
    "add log-in": _("opened a log-in"),
    "end log-in": _("ended the log-in"),
    "readmit": _("took back in"),
    "change role": _("gave another role"),
    "change scope": _("changed the buildings"),
    "change password": _("changed the own password"),
    "reset second factor": _("took the second factor away"),
    "add authenticator": _("set up an authenticator app"),
    "add passkey": _("made a passkey"),
    "remove second factor": _("removed a second factor"),
    "new recovery codes": _("made new recovery codes"),
    "end sessions": _("ended sessions"),
    "add face": _("enrolled a face"),
    "delete face": _("deleted a face"),
    "seal face": _("sent a face to a node"),
    "seal key": _("sent a key to a node"),
    "record identity": _("recorded the identity"),
    "forget identity": _("forgot the identity"),
    "prove": _("vouched for it"),
    "prove residency": _("vouched for the residency"),
    "record attention": _("recorded an attention"),
    "end attention": _("ended an attention"),
    "propose watch": _("proposed a watch entry"),
    "approve watch": _("approved a watch entry"),
    "end watch": _("ended a watch entry"),
    "feedback on watch": _("gave feedback on a watch entry"),
    "new screen key": _("made a key for a screen"),
    "end screen key": _("ended the key of a screen"),
    "answer e-bike question": _("answered a question about an e-bike"),
    "ask for visit": _("asked for a visit"),
    "approve visit": _("approved a visit"),
    "change visit": _("changed a visit"),
    "visit over": _("the visit is over"),
    "forget visit": _("forgot a visit"),
    "forget visitor": _("forgot a visitor"),
    "bar": _("barred from visiting"),
    "lift bar": _("lifted a bar"),
    "appeal": _("appealed"),
    "answer appeal": _("answered an appeal"),
    "approve": _("approved"),
    "ask to join": _("asked to be registered"),
    "owner answers": _("the owner answered"),
    "set retention": _("set how long data is kept"),
    "take request": _("took down a request"),
    "make assessment": _("made an assessment"),
    "approve assessment": _("approved an assessment"),
    "set filing": _("noted a filing"),
    "ask for vehicle": _("asked for a vehicle"),
    "change vehicle": _("changed a vehicle"),
    "refuse vehicle": _("refused a vehicle"),
    "end vehicle": _("ended a vehicle"),
    "change owner": _("changed the owner"),
    "set drivers": _("set the drivers"),
    "driver left": _("a driver left"),
    "allow remote opening": _("allowed opening by phone"),
    "forbid remote opening": _("forbade opening by phone"),
    "publish notice": _("published a notice"),
    "add care contact": _("added a care contact"),
    "remove care contact": _("removed a care contact"),
    "set help line": _("set a help line"),
    "remove help line": _("removed a help line"),
    "lease end": _("the lease ended"),
    "set parcel room": _("set the parcel room"),
    "ask outside": _("asked an outside service"),
    "not confirmed": _("the outside service did not confirm it"),
    "other number": _("another number was recorded"),
    "prove by clerk": _("a clerk saw the document"),
    "prove by reader": _("the document was read by a reader"),
    "prove by outside": _("an outside service confirmed it"),
    "mark lost": _("reported lost"),
    "add e-bike": _("registered an e-bike"),
    "change e-bike": _("changed an e-bike"),
    "end e-bike": _("took an e-bike out"),
    "add vehicle": _("registered a vehicle"),
    "approve vehicle": _("admitted a vehicle"),
    "ask for bulk": _("asked for an act on many"),
    "ask for export": _("asked for a list"),
    "ask for import": _("handed in a list"),
    "go on with bulk": _("said yes to an act on many"),
    "go on with export": _("let a list be made"),
    "go on with import": _("let a list be taken over"),
    "ask": _("asked about the own data"),
    "request new": _("a request came in"),
    "request taken": _("took up a request"),
    "request done": _("settled a request"),
    "request refused": _("refused a request"),
    "request cancelled": _("took a request back"),
    "set camera site": _("set where a camera stands"),
    "ask to end residency": _("asked to end the residency"),
    "household ask accepted": _("did what a home asked for"),
    "household ask refused": _("refused what a home asked for"),
    "household ask cancelled": _("the home took its request back"),
    "refuse": _("refused"),
    "withdraw": _("taken back"),
    "expire": _("nobody answered in time"),
    "call off visit": _("called off a visit"),
    "refuse visit": _("refused a visit"),
    "visitor came": _("let a visitor in"),
    "visitor left": _("noted that a visitor left"),
    "clock": _("time went on"),
    "escort": _("asked for an escort"),
    "change rules of visits": _("changed the rules of visits"),
    "write notice": _("wrote a notice"),
    "change notice": _("changed a notice"),
    "plan notice": _("planned a notice"),
    "send notice": _("sent a notice out"),
    "withdraw notice": _("withdrew a notice"),
    "switch push on": _("switched messages on for a phone"),
    "switch push off": _("switched messages off for a phone"),
    "choose how to be reached": _("chose how to be reached"),
    "confirm mail address": _("confirmed a mail address"),
    "command release": _("asked for one release"),
    "command hold_unlocked": _("asked to hold it open"),
    "command hold_normal": _("asked for normal operation"),
    "command hold_locked": _("asked to hold it locked"),
    "command lockdown": _("asked for a lockdown"),
    "command lockdown_end": _("asked to end a lockdown"),
    "command fire_restore": _("asked to restore after a fire alarm"),
    "command maintenance": _("asked for maintenance"),
    "command maintenance_end": _("asked to end maintenance"),
    "command forgive": _("asked to forget where somebody was"),
    "command present": _("opened by phone"),
}

FIELDS: Mapping[str, Promise] = {
    "name": _("name"),
    "greeting": _("name on screens"),
    "kind": _("kind"),
    "status": _("state"),
    "valid_from": _("valid from"),
    "valid_until": _("valid until"),
    "host_id": _("visited home"),
    "needs_time": _("needs more time"),
    "needs_escort": _("needs an escort"),
    "can_escort": _("may escort"),
    "note": _("note"),
    "building_id": _("building"),
    "unit_id": _("home"),
    "holder_id": _("person"),
    "entrance": _("stairwell"),
    "code": _("code"),
    "floor": _("floor"),
    "area_m2": _("area in m²"),
    "use": _("use"),
    "external_code": _("authority's number"),
    "zone": _("time zone"),
    "least_area_m2": _("least area for a person"),
    "face_notice_version": _("version of the face notice"),
    "map_x": _("place on the plan, across"),
    "map_y": _("place on the plan, down"),
    "starts_at": _("from"),
    "ends_at": _("until"),
    "proof": _("proof"),
    "proof_number": _("number of the proof"),
    "proven_by": _("vouched for by"),
    "proven_at": _("vouched for at"),
    "proven": _("checked"),
    "document": _("document"),
    "born_on": _("born on"),
    "category": _("category"),
    "group": _("group"),
    "recorded_by": _("recorded by"),
    "recorded_at": _("recorded at"),
    "ended_at": _("ended at"),
    "purpose": _("purpose"),
    "text_version": _("version of the text"),
    "given_by": _("given by"),
    "guardian_id": _("guardian"),
    "relation": _("relation"),
    "withdrawn_at": _("withdrawn at"),
    "withdrawn_by": _("withdrawn by"),
    "user_id": _("log-in"),
    "role": _("role"),
    "roles": _("roles"),
    "days": _("days"),
    "buildings": _("buildings"),
    "large_print": _("large print"),
    "language": _("language"),
    "staff_id": _("member of staff"),
    "revoked_at": _("ended at"),
    "node_id": _("edge node"),
    "driver": _("driver"),
    "settings": _("settings"),
    "method": _("way"),
    "methods": _("ways"),
    "key": _("number"),
    "portal_id": _("portal"),
    "direction": _("direction"),
    "level": _("assurance"),
    "is_enabled": _("switched on"),
    "schedule_id": _("schedule"),
    "groups": _("groups"),
    "points": _("access points"),
    "capacity": _("room for"),
    "cars": _("cars"),
    "weekly": _("week"),
    "dates": _("dates"),
    "reason": _("reason"),
    "state": _("state"),
    "plate": _("number plate"),
    "count": _("number"),
    "owner_id": _("owner"),
    "expires_at": _("good until"),
}

VIEWS: Mapping[str, Promise] = {
    "holder": _("a person"),
    "holder search": _("a search for people"),
    "picture": _("a picture"),
    "event": _("an event"),
    "photo": _("a photograph"),
    "pass": _("a pass"),
    "export": _("an export"),
    "export file": _("an exported file"),
    "search": _("a search"),
    "watch entry": _("a watch entry"),
    "visit": _("a visit"),
    "visits": _("visits"),
    "vehicle list": _("the vehicles"),
    "attention": _("an attention"),
    "application": _("an application"),
    "application photo": _("the photograph of an application"),
    "bulk preview": _("a preview of a bulk act"),
    "pass sheet": _("printed passes"),
    "bars": _("the list of barred visitors"),
    "bar": _("a barred visitor"),
    "identity number": _("an identity number"),
    "change log": _("an export of the change log"),
    "look log": _("an export of the view log"),
    "attention list": _("the list of people who need attention"),
    "holder list": _("a list of people"),
    "event list": _("a list of events"),
    "cars inside": _("the cars inside"),
    "device tables": _("what devices hold"),
    "data request": _("a request about one's data"),
    "requests": _("the requests about data"),
    "data requests": _("the requests about data"),
    "household_ask": _("a request of a home"),
    "roll call": _("a roll call"),
    "e-bike question": _("a question about an e-bike"),
    "e-bike": _("an e-bike"),
    "vehicle": _("a vehicle"),
    "notice not reached": _("whom a notice did not reach"),
    "cards": _("a list of cards"),
    "consents": _("the consents"),
    "receipts": _("the receipts of consents"),
    "receipt": _("a receipt of a consent"),
    "home": _("a home"),
    "homes": _("the homes"),
    "import faults": _("the faults of a list"),
}

VIA: Mapping[str, Promise] = {
    "page": _("page"),
    "api": _("program"),
    "command": _("command"),
}

_VALUE_CHARS = 120

_CODES: Mapping[str, Mapping[str, Any]] = {
    "access.credential.method": console.METHOD,
    "access.credential.status": console.CREDENTIAL_STATUS,
    "people.holder.kind": console.HOLDER_KIND,
    "access.portal.kind": console.PORTAL_KIND,
    "access.accesspoint.direction": console.DIRECTION,
    "access.accesspoint.methods": console.METHOD,
    "devices.command.kind": console.COMMAND,
    "accounts.factorrule.roles": dict(Role.choices),
}
"""Fields whose values are words of the core, without choices of their own."""


def model_word(label: str) -> str:
    """Say what kind of record a line is about."""
    known = MODELS.get(label)
    if known is not None:
        return str(known)
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label


def action_word(action: str) -> str:
    """Say what was done."""
    first, _space, method = action.partition(" ")
    if first == "add" and method in console.METHOD:
        return gettext("added: %(what)s") % {"what": console.METHOD[method]}
    return str(ACTIONS.get(action, action))


def view_word(what: str) -> str:
    """Say what was looked at."""
    return str(VIEWS.get(what, what))


def field_word(label: str, name: str) -> str:
    """Say which field changed."""
    known = FIELDS.get(name)
    if known is not None:
        return str(known)
    field = _field(label, name)
    return str(field.verbose_name) if field is not None else name.replace("_", " ")


def value_word(label: str, name: str, value: Any) -> str:
    """Say a value: choices by their label, records by their name, times on the local clock."""
    if value in (None, "", [], {}):
        return ""
    codes = _CODES.get(f"{label}.{name}")
    if isinstance(value, list):
        return _cut("、".join(value_word(label, name, item) for item in value))
    if codes is not None and isinstance(value, str):
        return str(codes.get(value, value))
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    field = _field(label, name)
    if field is not None and isinstance(value, str):
        choices = dict(field.flatchoices) if field.choices else {}
        if value in choices:
            return str(choices[value])
        if isinstance(field, models.DateTimeField):
            at = parse_datetime(value)
            return _clock(at) if at is not None and timezone.is_aware(at) else value
    if isinstance(field, models.ForeignKey):
        return _named(field, value)
    return _cut(str(value))


def _field(label: str, name: str) -> models.Field[Any, Any] | None:
    try:
        fields = apps.get_model(label)._meta.concrete_fields
    except (LookupError, ValueError):
        return None
    return next((one for one in fields if name in (one.attname, one.name)), None)


def _named(field: models.ForeignKey[Any, Any], key: Any) -> str:
    """Give the name of a record that a line points at; its number where it is gone."""
    table: Any = field.related_model
    found = table._base_manager.filter(pk=key).first()
    if found is None:
        return str(key)
    name = getattr(found, "name", None) or getattr(found, "code", None) or str(found)
    return _cut(str(name))


def _clock(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M")


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_CHARS else text[:_VALUE_CHARS] + "…"
