"""Modbus TCP to one relay and input module: polls its inputs, times its coils.

The module is asked on one connection, one question at a time. What a crashed edge could leave
switched on is switched off by the module itself where it has a pulse register, and otherwise by
the next life of the edge, as its first act.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from anlin.drivers.base import LinkError
from anlin.drivers.modbus import Kind, wiring

log = structlog.get_logger(__name__)

# It writes every wrong byte of a peer to the log. What failed is said in our errors, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

ANSWER_TIMEOUT_S = 0.25
"""A module answers within 20 ms; three that do not come make less than a second of silence."""

CONNECT_TIMEOUT_S = 2.0
MAX_MISSED = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
LEVELS_EVERY_S = 60.0
GRACE_S = 1.0
"""After a start, so long the engine has to say how each portal stands, before what it said
nothing about is shut: a door that is held open by fire must not blink shut."""

CANCEL_AGAIN_S = 1.0
"""In Python 3.11 the library's `wait_for` swallows a cancellation that comes with an answer."""

REMEMBERED_RELEASES = 256
MAX_WAITING = 1000
MAX_PULSE_MS = 4 * 60 * 1000


class ModbusLink:
    """One module. Yields "state", "input/N" and "pressed/N"; takes "set", "pulse", "lower"."""

    def __init__(self, device: str, settings: Mapping[str, Any]) -> None:
        self._device = device
        self._wiring = wiring(device, settings)
        self._client: AsyncModbusTcpClient | None = None
        self._asking = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._said: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._levels: dict[int, bool] = {}
        self._is_full = True
        self._is_online: bool | None = None
        self._wanted: dict[int, bool] = {}
        """How each coil should stand, as far as this life has been told."""
        self._pulses: dict[int, asyncio.Task[None]] = {}
        self._known: deque[str] = deque(maxlen=REMEMBERED_RELEASES)

    async def open(self) -> None:
        """Begin to poll; the connection is made, and made again, behind it."""
        self._said = asyncio.Queue(MAX_WAITING)
        self._is_online = None
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End pulses that are under way, and hang up."""
        running, self._running = self._running, None
        while running is not None and not running.done():
            running.cancel()
            await asyncio.wait({running}, timeout=CANCEL_AGAIN_S)
        for coil in list(self._pulses):
            self._pulses.pop(coil).cancel()
            with contextlib.suppress(LinkError):
                await self._set(coil, self._wiring.shut[coil])
        self._hang_up()

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while self._running is not None:
            yield await self._said.get()
        raise LinkError(f"module {self._device}: the link is closed")

    async def send(self, address: str, payload: bytes) -> None:
        order = json.loads(payload)
        match address:
            case "levels":
                self._is_full = True
            case "set":
                self._end_pulse(order["coil"])
                self._wanted[order["coil"]] = order["on"]
                await self._set(order["coil"], order["on"])
            case "pulse":
                await self._pulse(order)
            case "lower":
                await self._lower(order)
            case _:
                raise LinkError(f"module {self._device}: nothing is called {address}")

    # The connection

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            client = AsyncModbusTcpClient(
                self._wiring.host,
                port=self._wiring.port,
                timeout=CONNECT_TIMEOUT_S,
                retries=0,
                reconnect_delay=0,
            )
            if await client.connect():
                self._client = client
                wait_s = FIRST_WAIT_S
                rule = await self._poll_until_silent()
            else:
                rule = f"no connection to {self._wiring.host}:{self._wiring.port}"
            self._hang_up()
            client.close()
            self._tell_state(False, rule)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _poll_until_silent(self) -> str:
        """Poll until the module can't be heard any more; say why."""
        loop = asyncio.get_running_loop()
        missed, full_at, settle_at = 0, 0.0, loop.time() + GRACE_S
        self._is_full = True
        while True:
            began = loop.time()
            try:
                if began >= full_at or self._is_full:
                    full_at, self._is_full = began + LEVELS_EVERY_S, True
                bits = await self._read_inputs()
                if self._is_online is not True:
                    await self._restore()
                    self._tell_state(True, "answers")
                    settle_at = began + GRACE_S
                elif self._is_full:
                    await self._restore()
                self._tell_inputs(bits)
                if began >= settle_at:
                    settle_at = float("inf")
                    await self._shut_the_rest()
                missed = 0
            except LinkError as error:
                missed += 1
                if missed >= MAX_MISSED or self._client is None or not self._client.connected:
                    return str(error)
            pause_s = self._wiring.poll_ms / 1000 - (loop.time() - began)
            await asyncio.sleep(max(0.0, pause_s))

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _read_inputs(self) -> dict[int, bool]:
        inputs = self._wiring.inputs
        if not inputs:
            # Something has to be asked, to know that it answers.
            await self._read_coil(min(self._wiring.shut, default=0))
            return {}
        first, count = min(inputs), max(inputs) - min(inputs) + 1
        bits = await self._ask("read_discrete_inputs", first, count=count)
        return {number: bits[number - first] for number in inputs}

    async def _ask(self, name: str, address: int, **more: Any) -> list[bool]:
        """Ask the module one thing; every way to fail is a LinkError."""
        where = f"module {self._device}: {name} {address}"
        client = self._client
        if client is None:
            raise LinkError(f"{where}: not connected")
        async with self._asking:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    ask = getattr(client, name)
                    answer = await ask(address, device_id=self._wiring.unit, **more)
            except TimeoutError:
                raise LinkError(f"{where}: no answer within {ANSWER_TIMEOUT_S} s") from None
            except (ModbusException, OSError) as error:
                raise LinkError(f"{where}: {error}") from error
        if answer is None or answer.isError():
            code = getattr(answer, "exception_code", "none")
            raise LinkError(f"{where}: refused with exception code {code}")
        bits = list(getattr(answer, "bits", ()))
        if len(bits) < more.get("count", 0):
            raise LinkError(f"{where}: {len(bits)} bits in the answer")
        return bits

    # Inputs

    def _tell_state(self, is_online: bool, detail: str) -> None:
        if self._is_online is not is_online:
            self._is_online = is_online
            self._say("state", {"online": is_online, "detail": detail[:200]})

    def _tell_inputs(self, bits: Mapping[int, bool]) -> None:
        is_full, self._is_full = self._is_full, False
        for number, bit in bits.items():
            before = self._levels.get(number)
            wired = self._wiring.inputs[number]
            if wired.kind is Kind.EXIT_BUTTON:
                # One that is held down while we connect is no press.
                if before is not None and before is not bit and wired.is_active(bit):
                    self._say(f"pressed/{number}", {"on": bit})
            elif is_full or before is not bit:
                self._say(f"input/{number}", {"on": bit})
        self._levels = dict(bits)

    def _say(self, address: str, data: Mapping[str, Any]) -> None:
        try:
            self._said.put_nowait((address, json.dumps(data, separators=(",", ":")).encode()))
        except asyncio.QueueFull:
            # Levels come again within the minute.
            log.warning("device_too_fast", device=self._device)

    # Coils

    async def _set(self, coil: int, is_on: bool) -> None:
        """Write a coil and read it back: some modules confirm what they did not do."""
        await self._ask("write_coil", coil, value=is_on)
        if await self._read_coil(coil) is not is_on:
            raise LinkError(f"module {self._device}: coil {coil} was written and did not move")

    async def _read_coil(self, coil: int) -> bool:
        return (await self._ask("read_coils", coil, count=1))[0]

    async def _pulse(self, order: Mapping[str, Any]) -> None:
        coil, ms = order["coil"], min(order["ms"], MAX_PULSE_MS)
        is_held = coil not in self._pulses and self._wanted.get(coil) is order["on"]
        if order["id"] in self._known or is_held:
            return
        self._end_pulse(coil)
        self._wanted[coil] = self._wiring.shut[coil]
        if order["register"] is not None:
            units = -(-ms // order["unit_ms"])
            await self._ask("write_register", order["register"], value=min(units, 0xFFFF))
            if await self._read_coil(coil) is not order["on"]:
                raise LinkError(f"module {self._device}: coil {coil} was pulsed and did not move")
            self._pulses[coil] = asyncio.create_task(self._forget_pulse(coil, ms))
        else:
            self._pulses[coil] = asyncio.create_task(self._end_later(coil, ms))
            await self._set(coil, order["on"])
        self._known.append(order["id"])

    async def _forget_pulse(self, coil: int, ms: int) -> None:
        await asyncio.sleep(ms / 1000)
        self._pulses.pop(coil, None)

    async def _end_later(self, coil: int, ms: int) -> None:
        await asyncio.sleep(ms / 1000)
        self._pulses.pop(coil, None)
        with contextlib.suppress(LinkError):
            # What fails here is made good by the next full poll or the next connection.
            await self._set(coil, self._wiring.shut[coil])
            return
        self._is_full = True

    def _end_pulse(self, coil: int) -> None:
        running = self._pulses.pop(coil, None)
        if running is not None:
            running.cancel()

    async def _lower(self, order: Mapping[str, Any]) -> None:
        """Bring an arm down, looking under it first: the last poll may be too old for a life."""
        bits = await self._read_inputs()
        coil = order["coil"]
        self._end_pulse(coil)
        self._wanted[coil] = False
        await self._set(coil, False)
        if any(bits[int(number)] is bit for number, bit in order["needless"].items()):
            return
        if any(bits[int(number)] is bit for number, bit in order["unless"].items()):
            raise LinkError(f"{order['portal']}: a vehicle is under the arm; not lowered")
        lower = order["lower_coil"]
        self._end_pulse(lower)
        self._wanted[lower] = False
        self._pulses[lower] = asyncio.create_task(self._end_later(lower, order["ms"]))
        await self._set(lower, True)

    async def _restore(self) -> None:
        """Put every coil where it should stand; a module forgets when its power blinks."""
        for coil, is_on in list(self._wanted.items()):
            if coil not in self._pulses and await self._read_coil(coil) is not is_on:
                await self._set(coil, is_on)

    async def _shut_the_rest(self) -> None:
        """Shut what nobody has spoken of since we started: an earlier life may have left it."""
        for coil, is_on in self._wiring.shut.items():
            if coil not in self._wanted:
                self._wanted[coil] = is_on
                await self._set(coil, is_on)
