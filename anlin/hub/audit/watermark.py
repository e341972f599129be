"""Who took it, when and what for: drawn into pictures and written above tables that leave here."""

from __future__ import annotations

import io

from django.utils import timezone
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw, ImageFont

from anlin.hub.audit.log import Actor

QUALITY = 90
_LINE_SHARE = 26
"""A line is this part of the shorter side: legible on a face of 240 pixels, small on a car."""
_LEAST_PX = 9


def line(by: Actor, purpose: str = "") -> str:
    """Give the line that stands on everything taken out: who, when, what for."""
    when = timezone.localtime().strftime("%Y-%m-%d %H:%M:%S %z")
    said = [by.name, when, purpose[:60], _("not to be passed on")]
    return " · ".join(part for part in said if part)


def drawn(jpeg: bytes, by: Actor, purpose: str = "") -> bytes:
    """Give a picture with the line across it, three times, so that no part is free of it.

    Drawn in the letters that every font has: a log-in name and the time say who and when, and
    are the same in each language.
    """
    with Image.open(io.BytesIO(jpeg)) as opened:
        picture = opened.convert("RGB")
    text = _plain(f"{by.name}  {timezone.localtime().strftime('%Y-%m-%d %H:%M:%S')}  {purpose}")
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    size = max(_LEAST_PX, min(picture.size) // _LINE_SHARE)
    font = ImageFont.load_default(size)
    while pen.textlength(text, font=font) > picture.width - 4 and size > _LEAST_PX:
        size -= 1
        font = ImageFont.load_default(size)
    for share in (0.18, 0.52, 0.9):
        pen.text(
            (2, picture.height * share),
            text,
            font=font,
            fill=(255, 255, 255, 150),
            stroke_width=1,
            stroke_fill=(0, 0, 0, 130),
        )
    out = io.BytesIO()
    Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB").save(
        out, "JPEG", quality=QUALITY
    )
    return out.getvalue()


def _plain(text: str) -> str:
    """Give text in the letters of the built-in font; others as their number, never as nothing."""
    return "".join(
        sign if sign.isascii() and sign.isprintable() else f"u{ord(sign):x}" for sign in text
    ).strip()
