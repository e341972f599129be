"""Everything that a page, the API or a command may do about access, in one place."""

from __future__ import annotations

from anlin.hub.access.credentials import (
    add_card,
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
from anlin.hub.access.passes import issue_pass, pass_text, revoke_pass
from anlin.hub.access.setup import (
    add_area,
    add_point,
    add_portal,
    add_rule,
    add_schedule,
    change_point,
)

__all__ = [
    "add_area",
    "add_card",
    "add_plate",
    "add_point",
    "add_portal",
    "add_rule",
    "add_schedule",
    "change_point",
    "enrol_face",
    "issue_pass",
    "keep_face",
    "mark_lost",
    "missing_faces",
    "nodes_without",
    "pass_text",
    "reseal_faces",
    "resume_credential",
    "revoke_all",
    "revoke_credential",
    "revoke_pass",
    "suspend_credential",
]
