from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.wire.osdp_frames import MAX_BYTES, Senders

# Packets of libosdp 3.2.9 at address 65 hex.
REPLIES = [
    "53 E5 14 00 04 45 BE BA FE 01 01 AF BE AD DE AD DE AD 07 FD",
    "53 E5 08 00 06 40 B0 F0",
    "53 E5 10 00 07 50 00 01 1A 00 89 43 83 C0 68 76",
    "53 E5 0F 00 05 53 00 05 31 32 33 34 23 96 40",
]
COMMANDS = ["FF 53 65 09 00 04 61 00 D9 7A", "FF 53 65 08 00 06 60 02 F6"]


@pytest.mark.parametrize("packet", REPLIES)
def test_a_reader_that_answers_is_heard(packet: str) -> None:
    assert Senders().feed(bytes.fromhex(packet)) == [0x65]


@pytest.mark.parametrize("packet", COMMANDS)
def test_what_the_panel_says_is_no_answer(packet: str) -> None:
    assert Senders().feed(bytes.fromhex(packet)) == []


def test_a_checksum_counts_as_a_crc_does() -> None:
    packet = bytes.fromhex("53 E5 07 00 02 40")
    assert Senders().feed(packet + bytes([-sum(packet) % 256])) == [0x65]
    assert Senders().feed(packet + bytes([(1 - sum(packet)) % 256])) == []


@pytest.mark.parametrize("packet", REPLIES)
def test_a_changed_packet_is_nobody(packet: str) -> None:
    data = bytearray.fromhex(packet)
    data[-3] ^= 0x10
    assert Senders().feed(bytes(data)) == []


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_packets_are_found_however_they_are_cut(seed: int, size: int) -> None:
    line = b"".join(bytes.fromhex(packet) for packet in REPLIES + COMMANDS + REPLIES)
    cut, senders, found = random.Random(seed), Senders(), []
    while line:
        end = cut.randint(1, size)
        found += senders.feed(line[:end])
        line = line[end:]
    assert found == [0x65] * 8


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_after_noise_readers_are_heard_again(noise: list[bytes]) -> None:
    senders, found = Senders(), []
    for data in noise:
        senders.feed(data)
    for _ in range(2 * MAX_BYTES // 8):
        found += senders.feed(bytes.fromhex(REPLIES[1]))
    assert 0x65 in found


def test_a_reader_that_is_not_there_is_not_heard_in_its_neighbours_ciphertext() -> None:
    noise, senders = random.Random(7), Senders()
    heard = {address for _ in range(2000) for address in senders.feed(noise.randbytes(100))}
    assert len(heard) <= 1
