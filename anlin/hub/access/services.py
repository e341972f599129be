"""Everything that a page, the API or a command may do about access, in one place."""

from __future__ import annotations

from anlin.hub.access.credentials import (
    add_card,
    add_phone,
    add_plate,
    mark_lost,
    resume_credential,
    revoke_all,
    revoke_credential,
    suspend_credential,
)
from anlin.hub.access.faces import (
    enrol_face,
    keep_face,
    missing_faces,
    nodes_without,
    reseal_faces,
)
from anlin.hub.access.parking import (
    remove_parking,
    set_household,
    set_parking,
)
from anlin.hub.access.passes import (
    issue_pass,
    note_pass_use,
    pass_text,
    revoke_pass,
)
from anlin.hub.access.pins import (
    set_pin,
    share_pin_key,
)
from anlin.hub.access.setup import (
    add_area,
    add_point,
    add_portal,
    add_rule,
    change_area,
    change_point,
    change_portal,
    change_rule,
    remove_area,
    remove_point,
    remove_portal,
    remove_rule,
)
from anlin.hub.access.times import (
    add_holidays,
    add_schedule,
    change_holidays,
    change_schedule,
    remove_holidays,
    remove_schedule,
)
from anlin.hub.access.watch import (
    approve_watch,
    end_watch,
    note_feedback,
    propose_watch,
)

__all__ = [
    "add_area",
    "add_card",
    "add_holidays",
    "add_phone",
    "add_plate",
    "add_point",
    "add_portal",
    "add_rule",
    "add_schedule",
    "approve_watch",
    "change_area",
    "change_holidays",
    "change_point",
    "change_portal",
    "change_rule",
    "change_schedule",
    "end_watch",
    "enrol_face",
    "issue_pass",
    "keep_face",
    "mark_lost",
    "missing_faces",
    "nodes_without",
    "note_feedback",
    "note_pass_use",
    "pass_text",
    "propose_watch",
    "remove_area",
    "remove_holidays",
    "remove_parking",
    "remove_point",
    "remove_portal",
    "remove_rule",
    "remove_schedule",
    "reseal_faces",
    "resume_credential",
    "revoke_all",
    "revoke_credential",
    "revoke_pass",
    "set_household",
    "set_parking",
    "set_pin",
    "share_pin_key",
    "suspend_credential",
]
