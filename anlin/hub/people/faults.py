"""What is wrong with a photograph, and what to do about it, in a person's words."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.vision.quality import QualityFault

FAULTS: Mapping[QualityFault, tuple[Promise, Promise]] = {
    QualityFault.NO_FACE: (
        _("There is no face in this picture."),
        _("Look straight at the camera, with the whole face inside the oval."),
    ),
    QualityFault.SEVERAL_FACES: (
        _("There are two or more faces in this picture."),
        _("Let only one person stand before the camera."),
    ),
    QualityFault.TOO_SMALL: (
        _("The face is too small."),
        _("Come closer, until the face fills the oval."),
    ),
    QualityFault.BLURRED: (
        _("The picture is blurred."),
        _("Hold still for a moment and wipe the lens."),
    ),
    QualityFault.TOO_DARK: (
        _("The face is too dark."),
        _("Turn towards the light; no window or lamp behind the head."),
    ),
    QualityFault.TOO_BRIGHT: (
        _("The face is too bright."),
        _("Step out of the sun or away from the lamp."),
    ),
    QualityFault.TURNED_AWAY: (
        _("The face is turned away or tilted."),
        _("Look straight at the camera and hold the head upright."),
    ),
    QualityFault.NOT_A_PICTURE: (
        _("This file is no picture that can be read."),
        _("Choose a JPEG, PNG or WebP photograph."),
    ),
    QualityFault.TOO_LARGE_PICTURE: (
        _("This picture has too many pixels."),
        _("Take it with a smaller setting, or with the camera on this page."),
    ),
    QualityFault.MASKED: (
        _("The face wears a mask."),
        _("Take the mask off for this one picture."),
    ),
}
