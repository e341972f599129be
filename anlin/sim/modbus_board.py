"""A relay and input module that serves Modbus TCP, as a door's or barrier's board would.

Coils, discrete inputs, and one pulse ("flash") register for each coil. A test breaks it as the
field does: relays that stick, a cable that is pulled, a module that is slow.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

from pymodbus.constants import ExcCodes
from pymodbus.datastore import ModbusServerContext
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

FLASH_AT = 100
"""The pulse register of coil n is holding register FLASH_AT + n, in tenths of a second."""

READ_COILS, READ_INPUTS, READ_REGISTERS = 1, 2, 3
"""Function codes of the Modbus application protocol, V1.1b3, section 6."""

WRITES_COILS, WRITES_REGISTERS = frozenset({5, 15}), frozenset({6, 16})


@dataclass(slots=True)
class Board:
    """One module. `inputs` is what its terminals see; a test sets them."""

    unit: int = 1
    inputs: list[bool] = field(default_factory=lambda: [False] * 16)
    coils: list[bool] = field(default_factory=lambda: [False] * 16)
    moves: list[tuple[float, int, bool]] = field(default_factory=list)
    """Every change of a coil: when (monotonic), which, to what."""
    stuck: set[int] = field(default_factory=set)
    """Coils whose write is confirmed and does nothing: a welded relay, a blown driver."""
    answer_after_s: float = 0.0
    reads: int = 0
    """How often inputs were read: once a poll."""
    _server: ModbusTcpServer | None = None
    _flashes: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; give the port."""
        placeholder = SimDevice(self.unit, SimData(0, datatype=DataType.REGISTERS))
        server = ModbusTcpServer(placeholder, address=(host, port))
        # The library's own memory can't move a relay; ours answers the same two questions.
        server.context = cast(ModbusServerContext, _Memory(self))
        await server.serve_forever(background=True)
        self._server = server
        listening = cast(asyncio.Server, server.transport)
        return int(listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Pull the cable: every connection breaks and nothing listens."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def move(self, coil: int, is_on: bool) -> None:
        """Switch a relay, if it can still move."""
        if coil not in self.stuck and self.coils[coil] is not is_on:
            self.coils[coil] = is_on
            self.moves.append((time.monotonic(), coil, is_on))

    def flash(self, coil: int, tenths: int) -> None:
        """Switch a relay on for a time that the module itself counts."""
        running = self._flashes.pop(coil, None)
        if running is not None:
            running.cancel()
        self.move(coil, tenths > 0)
        if tenths > 0:
            self._flashes[coil] = asyncio.get_running_loop().create_task(self._end(coil, tenths))

    async def _end(self, coil: int, tenths: int) -> None:
        await asyncio.sleep(tenths / 10)
        self.move(coil, False)


class _Memory:
    """The module's memory, as the server asks for it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def device_ids(self) -> list[int]:
        return [self._board.unit]

    async def async_getValues(
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        board = self._board
        if board.answer_after_s:
            await asyncio.sleep(board.answer_after_s)
        if device_id != board.unit:
            return ExcCodes.GATEWAY_NO_RESPONSE
        if func_code == READ_INPUTS:
            board.reads += 1
            return _part(board.inputs, address, count)
        if func_code == READ_COILS or func_code in WRITES_COILS:
            return _part(board.coils, address, count)
        if func_code not in WRITES_REGISTERS | {READ_REGISTERS}:
            return ExcCodes.ILLEGAL_FUNCTION
        running = [coil in board._flashes for coil in range(len(board.coils))]
        return _part(running, address - FLASH_AT, count)

    async def async_setValues(
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        board = self._board
        if device_id != board.unit:
            return ExcCodes.GATEWAY_NO_RESPONSE
        first = address - FLASH_AT if func_code in WRITES_REGISTERS else address
        if first < 0 or first + len(values) > len(board.coils):
            return ExcCodes.ILLEGAL_ADDRESS
        for coil, value in enumerate(values, start=first):
            if func_code in WRITES_COILS:
                board.move(coil, bool(value))
            elif func_code in WRITES_REGISTERS:
                board.flash(coil, int(value))
            else:
                return ExcCodes.ILLEGAL_FUNCTION
        return None


def _part(bits: list[bool], address: int, count: int) -> list[bool] | ExcCodes:
    if address < 0 or address + count > len(bits):
        return ExcCodes.ILLEGAL_ADDRESS
    return bits[address : address + count]
