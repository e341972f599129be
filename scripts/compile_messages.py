"""Compile the message catalogues (.po) into what Django reads (.mo), without the gettext tools.

    python scripts/compile_messages.py            compiles what is newer than its .mo
    python scripts/compile_messages.py --check    also fails where a Chinese sentence is missing

A built wheel carries the .mo files already, and installing a checkout makes them; this does it
again after a sentence has changed, and needs Babel only then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

LOCALE = Path(__file__).resolve().parent.parent / "anlin" / "hub" / "locale"


def compile_all(locale: Path = LOCALE) -> list[Path]:
    """Compile every catalogue that changed; give the files that were written."""
    written = []
    for source in sorted(locale.rglob("*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        from babel.messages.mofile import write_mo

        aside = target.with_suffix(".mo.new")
        with aside.open("wb") as file:
            write_mo(file, read(source))
        aside.replace(target)
        written.append(target)
    return written


def missing(source: Path) -> list[str]:
    """List the sentences of a catalogue that have no translation."""
    return [
        str(message.id)
        for message in read(source)
        if message.id
        and not (message.string if isinstance(message.id, str) else all(message.string))
    ]


def read(source: Path) -> Catalog:
    """Read one catalogue."""
    from babel.messages.pofile import read_po

    with source.open("rb") as file:
        return read_po(file)


def main() -> int:
    """Compile, and say what is missing."""
    try:
        for target in compile_all():
            print(target.relative_to(LOCALE))
    except ImportError:
        print("a catalogue changed, and compiling it needs Babel: pip install babel")
        return 1
    if "--check" not in sys.argv:
        return 0
    lacks = missing(LOCALE / "zh_Hans" / "LC_MESSAGES" / "django.po")
    for sentence in lacks:
        print(f"no Chinese for: {sentence}")
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
