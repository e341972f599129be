"""Who speaks on an OSDP line: whole packets from readers, by their checks (IEC 60839-11-5)."""

from __future__ import annotations

import binascii

START = 0x53
REPLY = 0x80
"""Set in the address of what a reader says."""

HEADER_BYTES = 5
MIN_BYTES = 7
MAX_BYTES = 300
"""Longer packets carry files and biometrics. Noise that looks like a start of one hides what
follows until so many bytes are in."""

_USES_CRC = 0x04
_CRC_SEED = 0x1D0F


class Senders:
    """Finds the readers that speak in what comes in, however it is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[int]:
        """Take bytes of the line; give the address of each reader's packet that is whole now."""
        rest, found = self._rest + data, []
        while True:
            start = rest.find(START)
            if start < 0:
                rest = b""
                break
            rest = rest[start:]
            if len(rest) < HEADER_BYTES:
                break
            length = int.from_bytes(rest[2:4], "little")
            if not (MIN_BYTES <= length <= MAX_BYTES and rest[1] & REPLY):
                rest = rest[1:]
                continue
            if len(rest) < length:
                break
            if _is_whole(rest[:length]):
                found.append(rest[1] & ~REPLY)
                rest = rest[length:]
            else:
                rest = rest[1:]
        self._rest = rest
        return found


def _is_whole(packet: bytes) -> bool:
    if packet[4] & _USES_CRC:
        return binascii.crc_hqx(packet[:-2], _CRC_SEED) == int.from_bytes(packet[-2:], "little")
    return sum(packet) % 256 == 0
