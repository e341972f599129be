"""An RS-485 line of OSDP readers, at a serial port or behind a serial server.

libosdp speaks the protocol, in a thread of its own; this link gives it the bytes of the line,
watches who can be heard, and passes on what readers say. A reader that should be secure is heard
over a secure channel with its own key or not at all: no default key, no clear text, and no new
key for one that comes back as a stranger. A new key is given by `commission` alone.

libosdp 3.2 leaves a reader that failed alone for five minutes. Here it is tried again every few
seconds, by switching it off and on in the library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import osdp
import structlog

from anlin.drivers.base import LinkError
from anlin.drivers.osdp import Reader, read_settings
from anlin.edge.links.osdp_wire import Panel, SerialPort, TcpPort, Transport, Wire
from anlin.edge.osdp_keys import KeyFault, Wish, folder, make_key, read_key
from anlin.wire.keypad import Keypad, Spoilt

log = structlog.get_logger(__name__)


WATCH_S = 0.05
ATTEMPT_S = 3.0
"""For a reader to come up: four exchanges of at most 0.2 s each, among its neighbours'."""

REST_S = 2.0
"""Between two attempts: each takes time of all on the line, and somebody waits at the door."""

REREAD_S = 30.0
"""Contacts and tamper switches are asked again so often; a report may have been lost."""

SILENT_S = 5.0
"""A reader that is up answers 20 times a second. The library alone takes eight seconds."""

SETTLE_S = 1.0
"""What comes this soon after a reader came up was kept by it while it was away. A card from then
must not open now."""

ORDER_TIMEOUT_S = 2.0
"""A poll's turn is 50 ms; who doesn't confirm an order in this time is taken for gone."""

CONNECT_TIMEOUT_S = 3.0
FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 3.0
"""Between two attempts to reach the line; there is a door behind it."""

QUIET_S = 15.0
"""A line on which nothing was heard so long is opened anew: a serial server that was switched off
and on does not know of our connection."""

COMMISSION_S = 12.0
"""For one phase of commissioning, which is an attempt or three."""

MAX_WAITING = 1000

REFUSED = "secure channel refused: the reader answers, but not with its key"
CLEAR_TEXT = "clear text"


class CommissionError(Exception):
    """A reader did not get a new key; says why and what to do."""


@dataclass(slots=True)
class _State:
    """What is known of one reader."""

    reader: Reader
    key: bytes | None = field(default=None, repr=False)
    fault: str = ""
    is_listed: bool = False
    """Whether the library knows it; one without a key it is not told of."""
    is_up: bool = False
    was_told: bool = False
    up_at: float = 0.0
    is_trying: bool = True
    since: float = 0.0
    asked_at: float = float("-inf")
    is_asked: bool = False
    is_asking: bool = False
    inputs: dict[int, bool] = field(default_factory=dict)
    is_tampered: bool | None = None
    has_power_fault: bool | None = None
    keypad: Keypad = field(default_factory=Keypad)
    has_lamp: bool = False
    has_buzzer: bool = False
    has_inputs: bool = False
    refuses: set[int] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    order: tuple[Mapping[str, Any], asyncio.Future[int]] | None = None


class OsdpLink:
    """One line and its readers, from `open` to `close`."""

    def __init__(self, device: str, settings: Mapping[str, Any]) -> None:
        self._device = device
        self._settings = read_settings(device, settings)
        self._keys = folder(settings)
        self._states = {
            address: _State(reader) for address, reader in self._settings.readers.items()
        }
        self._waiting: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(MAX_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wire = Wire(self._on_broken)
        self._panel: Panel | None = None
        self._is_attached = False
        self._broken = asyncio.Event()
        self._why = ""
        self._is_commissioning = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: set[asyncio.Task[None]] = set()

    # Life

    async def open(self) -> None:
        """Start the library and begin to reach for the line, which may take its time."""
        self._loop = asyncio.get_running_loop()
        self._waiting = asyncio.Queue(MAX_WAITING)
        for address, state in list(self._states.items()):
            self._states[address] = _State(state.reader, fault=state.fault)
        self._load_keys()
        self._start()
        for work in (self._keep_line, self._watch, self._wishes):
            task = asyncio.create_task(work(), name=f"{self._device}: {work.__name__}")
            task.add_done_callback(self._on_end)
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop the library and its thread, and close the line."""
        tasks, self._tasks = [*self._tasks, *self._asking], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop()
        self._wire.detach()
        self._is_attached = False

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            said = await self._waiting.get()
            if said is None:
                raise LinkError(f"line {self._device}: its watch ended")
            yield said

    async def send(self, address: str, payload: bytes) -> None:
        """Give a reader an order and wait until it confirms."""
        if address == "levels":
            for state in self._states.values():
                state.asked_at = float("-inf")
            return
        order = json.loads(payload)
        if order["reader"] not in self._states:
            raise LinkError(f"{address}: no such reader on line {self._device}")
        state = self._states[order["reader"]]
        match address:
            case "output":
                await self._order(
                    state,
                    {
                        "command": osdp.Command.Output,
                        "output_no": order["output"],
                        "control_code": order["code"],
                        "timer_count": order["tenths"],
                    },
                )
            case "led" if state.has_lamp or not state.is_up:
                await self._order(
                    state,
                    {
                        "command": osdp.Command.LED,
                        "reader": 0,
                        "led_number": 0,
                        "temporary": True,
                        "control_code": 2,
                        "on_count": 10,
                        "off_count": 0,
                        "on_color": order["colour"],
                        "off_color": order["colour"],
                        "timer_count": order["tenths"],
                    },
                )
            case "buzzer" if state.has_buzzer or not state.is_up:
                await self._order(
                    state,
                    {
                        "command": osdp.Command.Buzzer,
                        "reader": 0,
                        "control_code": 2,
                        "on_count": order["on"],
                        "off_count": order["off"],
                        "rep_count": order["times"],
                    },
                )

    async def commission(self, address: int) -> None:
        """Give a reader a new random key, which it takes over the default key, once.

        The reader must be as from its box: reset at the reader itself, by somebody who stands
        before it. The line's other readers are off meanwhile. The new key is kept once the
        reader was seen to use it. Whoever records the line at this moment can learn the key:
        do it over a cable of your own.

        Raises:
            CommissionError: says why, and what to do.
        """
        state = self._states.get(address)
        if state is None or not state.reader.secure:
            raise CommissionError(f"reader {address} is not a secure reader of {self._device}")
        if self._is_commissioning.locked():
            raise CommissionError("another reader of this line is being commissioned")
        async with self._is_commissioning:
            await self._stop()
            for other in self._states.values():
                self._set_down(other, f"off while reader {address} gets its key")
            try:
                await self._give_key(state)
            finally:
                await self._stop()
                self._load_keys()
                self._start()

    async def _give_key(self, state: _State) -> None:
        address, name = state.reader.address, state.reader.key_name
        pending = self._keys / f"{name}.pending"
        try:
            # The reader may have taken it just before the power failed last time.
            key = read_key(pending)
        except KeyFault:
            key = await asyncio.to_thread(make_key, pending)
        self._run({address: (key, [osdp.LibFlag.InstallMode])})
        if not await self._is_secured(address):
            raise CommissionError(
                f"reader {address} does not take the default key: reset its key at the reader"
                if address in self._wire.heard
                else f"reader {address} does not answer: check wiring, address and baud rate"
            )
        await self._stop()
        self._run({address: (key, [osdp.LibFlag.EnforceSecure])})
        if not await self._is_secured(address):
            raise CommissionError(f"reader {address} did not keep its new key; try again")
        pending.replace(self._keys / name)
        log.info("reader_commissioned", device=self._device, reader=address)

    async def _is_secured(self, address: int) -> bool:
        panel, deadline = self._panel, time.monotonic() + COMMISSION_S
        self._wire.heard.pop(address, None)
        while panel is not None and time.monotonic() < deadline:
            if panel.is_online(address) and panel.is_sc_active(address):
                return True
            await asyncio.sleep(WATCH_S)
        return False

    # The library

    def _load_keys(self) -> None:
        for state in self._states.values():
            state.key = None
            if not state.reader.secure:
                self._set_fault(state, CLEAR_TEXT)
                continue
            try:
                state.key = read_key(self._keys / state.reader.key_name)
            except KeyFault as fault:
                self._set_fault(state, str(fault))
                self._tell_down(state, str(fault))
            else:
                self._set_fault(state, "")

    def _start(self) -> None:
        listed: dict[int, tuple[bytes | None, list[int]]] = {}
        for address, state in self._states.items():
            state.is_listed = state.key is not None or not state.reader.secure
            state.is_trying, state.since = True, time.monotonic()
            if state.is_listed:
                flags = [osdp.LibFlag.EnforceSecure] if state.reader.secure else []
                # Without the flag a key would be offered to whoever has the default key.
                listed[address] = (state.key if state.reader.secure else None, flags)
        self._run(listed)

    def _run(self, listed: Mapping[int, tuple[bytes | None, list[int]]]) -> None:
        if not listed:
            return
        infos = [
            osdp.PDInfo(address, self._wire, scbk=key, flags=flags)
            for address, (key, flags) in listed.items()
        ]
        try:
            panel = Panel(infos, osdp.LogLevel.Emergency, self._hear, self._confirmed)
        except Exception as error:
            raise LinkError(f"line {self._device}: libosdp: {error}") from error
        self._wire.muted.clear()
        panel.start()
        self._panel = panel

    async def _stop(self) -> None:
        panel, self._panel = self._panel, None
        if panel is not None:
            await asyncio.to_thread(panel.teardown)

    def _hear(self, address: int, event: dict[str, Any]) -> int:
        """Pass an event on from libosdp's thread."""
        self._call(self._on_event, address, event)
        return 0

    def _confirmed(self, address: int, command: dict[str, Any], status: int) -> None:
        self._call(self._on_confirmed, address, command, status)

    def _on_broken(self, why: str) -> None:
        self._call(self._break, why)

    def _call(self, work: Callable[..., None], *given: Any) -> None:
        # The loop may have closed before the thread ended.
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(work, *given)

    # The line

    async def _keep_line(self) -> None:
        wait_s, was_up = FIRST_WAIT_S, None
        while True:
            self._broken.clear()
            try:
                transport = await self._connect()
            except (OSError, TimeoutError) as error:
                if was_up is not False:
                    was_up = False
                    why = str(error) or "no answer in time"
                    self._say("up/line", online=False, detail=f"{self._settings.line}: {why}")
                await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                continue
            wait_s = FIRST_WAIT_S
            self._wire.attach(transport)
            self._is_attached = True
            if was_up is not True:
                was_up = True
                self._say("up/line", online=True, detail=self._settings.line)
            await self._broken.wait()
            self._is_attached = False
            self._wire.detach()
            if self._why:
                was_up = False
                self._say("up/line", online=False, detail=f"{self._settings.line}: {self._why}")
            await asyncio.sleep(wait_s)

    async def _connect(self) -> Transport:
        where = self._settings.tcp
        if where is None:
            return await asyncio.to_thread(SerialPort, self._settings.line, self._settings.baud)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(*where, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            connected = socket.socket(family, kind, protocol)
            try:
                connected.setblocking(False)
                await loop.sock_connect(connected, address)
                return TcpPort(connected)
            except BaseException:
                connected.close()
                raise

    def _break(self, why: str) -> None:
        self._why = why
        self._broken.set()

    # Who is there

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if self._is_commissioning.locked():
                continue
            if self._panel is not None and not self._panel.is_alive():
                raise LinkError(f"line {self._device}: libosdp's thread ended")
            now = time.monotonic()
            self._look(now)
            if self._is_attached and now - self._wire.heard_at > QUIET_S:
                self._break("")

    def _look(self, now: float) -> None:
        panel = self._panel
        if panel is None:
            return
        online, secured = panel.status(), panel.sc_status()
        for state in self._states.values():
            if not state.is_listed:
                continue
            bit = 1 << panel.pd_addr.index(state.reader.address)
            is_up = bool(online & bit) and (bool(secured & bit) or not state.reader.secure)
            # One that fell silent is on line to the library for a while yet.
            heard_at = self._wire.heard.get(state.reader.address, 0.0)
            is_up = is_up and heard_at > (now - SILENT_S if state.is_up else state.since)
            if is_up and not state.is_up:
                self._set_up(panel, state, now)
            elif not is_up and state.is_up:
                panel.flush_commands(state.reader.address)
                self._set_down(state, "does not answer any more")
                self._rest(panel, state, now)
            elif is_up and now - state.asked_at > REREAD_S and not state.is_asking:
                state.asked_at, state.is_asking = now, True
                task = asyncio.create_task(self._ask(state))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
            elif not is_up:
                self._try_again(panel, state, now)

    def _set_up(self, panel: Panel, state: _State, now: float) -> None:
        state.is_up, state.was_told, state.up_at = True, True, now
        state.is_trying, state.asked_at = False, float("-inf")
        state.inputs.clear()
        state.keypad.clear()
        state.is_tampered = state.has_power_fault = None
        address, can = state.reader.address, osdp.Capability
        state.has_lamp = panel.check_capability(address, can.LEDControl)[0] > 0
        state.has_buzzer = panel.check_capability(address, can.AudibleControl)[0] > 0
        state.has_inputs = panel.check_capability(address, can.ContactStatusMonitoring)[1] > 0
        outputs = panel.check_capability(address, can.OutputControl)[1]
        detail = "secure channel" if state.reader.secure else CLEAR_TEXT
        self._say("up/reader", reader=address, online=True, detail=detail)
        fault = "" if state.reader.secure else CLEAR_TEXT
        if state.reader.output is not None and state.reader.output >= outputs:
            fault = f"no output {state.reader.output}: the reader has {outputs}"
        elif state.reader.has_inputs() and not state.has_inputs:
            fault = "no inputs: the reader has none"
        self._set_fault(state, fault)

    def _set_down(self, state: _State, detail: str) -> None:
        if state.is_up:
            state.is_up = False
            self._tell_down(state, detail, is_news=True)
        if state.order is not None:
            state.order[1].cancel()
            self._wire.muted.add(state.reader.address)

    def _tell_down(self, state: _State, detail: str, *, is_news: bool = False) -> None:
        if is_news or not state.was_told:
            state.was_told = True
            self._say("up/reader", reader=state.reader.address, online=False, detail=detail)

    def _rest(self, panel: Panel, state: _State, now: float) -> None:
        panel.disable_pd(state.reader.address)
        state.is_trying, state.since = False, now

    def _try_again(self, panel: Panel, state: _State, now: float) -> None:
        address = state.reader.address
        if not self._is_attached:
            self._tell_down(state, "the line is down")
        elif state.is_trying and now - state.since > ATTEMPT_S:
            self._rest(panel, state, now)
            if address in self._wire.heard and state.reader.secure:
                self._set_fault(state, REFUSED)
                self._tell_down(state, REFUSED)
            else:
                self._tell_down(state, "does not answer")
        elif not state.is_trying and now - state.since > REST_S:
            if panel.is_pd_enabled(address):
                # It was in the middle of an exchange; the wish to switch it off stands.
                panel.disable_pd(address)
                return
            self._wire.muted.discard(address)
            self._wire.heard.pop(address, None)
            panel.enable_pd(address)
            state.is_trying, state.since = True, now

    def _set_fault(self, state: _State, rule: str) -> None:
        if rule == state.fault:
            return
        if state.fault:
            self._fault(state, state.fault, is_active=False)
        state.fault = rule
        if rule:
            self._fault(state, rule, is_active=True)

    def _fault(self, state: _State, rule: str, *, is_active: bool) -> None:
        self._say("up/fault", reader=state.reader.address, rule=rule, active=is_active)

    # What readers say

    def _on_event(self, address: int, event: Mapping[str, Any]) -> None:
        state, kinds = self._states.get(address), osdp.Event
        if state is None or self._is_commissioning.locked():
            return
        now = time.monotonic()
        if not state.is_up:
            self._look(now)
        if not state.is_up:
            return
        kind = event.get("event")
        if kind == kinds.CardRead:
            self._on_card(state, event, now)
        elif kind == kinds.KeyPress:
            self._on_keys(state, event, now)
        elif kind == kinds.Status:
            self._on_status(state, event)

    def _on_card(self, state: _State, event: Mapping[str, Any], now: float) -> None:
        if event["format"] == osdp.CardFormat.ASCII:
            self._refuse(state, "card data as text; set the reader to raw bits")
            return
        if event["reader_no"] != 0:
            self._refuse(state, "a second reading head; only the first is known")
            return
        self._say(
            "up/card",
            reader=state.reader.address,
            wiegand=event["format"] == osdp.CardFormat.Wiegand,
            bits=event["length"],
            data=bytes(event["data"]).hex(),
            old=now - state.up_at < SETTLE_S,
        )

    def _on_keys(self, state: _State, event: Mapping[str, Any], now: float) -> None:
        if event["reader_no"] != 0:
            self._refuse(state, "a second keypad; only the first is known")
            return
        if now - state.up_at < SETTLE_S:
            return
        for pin in state.keypad.press(bytes(event["data"]), now):
            if isinstance(pin, Spoilt):
                self._refuse(state, f"PIN: {pin.value}")
            else:
                self._say("up/pin", reader=state.reader.address, digits=pin)

    def _on_status(self, state: _State, event: Mapping[str, Any]) -> None:
        report, kinds = bytes(event["report"]), osdp.StatusReportType
        if event["type"] == kinds.Input:
            self._on_inputs(state, report)
        elif event["type"] == kinds.Local and len(report) >= 2:
            self._on_local(state, is_tampered=report[0] != 0, has_power_fault=report[1] != 0)

    def _on_inputs(self, state: _State, report: bytes) -> None:
        is_asked, state.is_asked = state.is_asked, False
        reader = state.reader
        for number in (reader.contact_input, reader.fire_input, reader.exit_input):
            if number is None:
                continue
            if number >= len(report):
                self._set_fault(state, f"no input {number}: the reader has {len(report)}")
                continue
            if report[number] > 1:
                self._refuse(state, f"input {number} is neither active nor inactive")
                continue
            before, is_active = state.inputs.get(number), report[number] == 1
            state.inputs[number] = is_active
            is_change = before is not None and before != is_active
            if number == reader.exit_input:
                is_pressed = is_active != (number in reader.inverted_inputs)
                if is_change and is_pressed:
                    self._say("up/button", reader=reader.address, input=number)
            elif is_change or is_asked or before is None:
                self._say("up/input", reader=reader.address, input=number, active=is_active)

    def _on_local(self, state: _State, *, is_tampered: bool, has_power_fault: bool) -> None:
        if is_tampered != bool(state.is_tampered):
            self._say("up/tamper", reader=state.reader.address, active=is_tampered)
        if has_power_fault != bool(state.has_power_fault):
            self._fault(state, "power", is_active=has_power_fault)
        state.is_tampered, state.has_power_fault = is_tampered, has_power_fault

    async def _ask(self, state: _State) -> None:
        kinds = osdp.StatusReportType
        wanted = [kinds.Local] if state.reader.answers_status else []
        if wanted and state.reader.has_inputs() and state.has_inputs:
            wanted.append(kinds.Input)
        state.is_asked = True
        try:
            for kind in wanted:
                if kind in state.refuses:
                    continue
                try:
                    await self._order(state, {"command": osdp.Command.Status, "type": kind})
                except _Declined:
                    # The library drops a reader that says no; it must not be asked for ever.
                    state.refuses.add(kind)
                    log.warning(
                        "status_refused", device=self._device, part=state.reader.part, kind=kind
                    )
                except LinkError:
                    return
        finally:
            state.is_asking = False

    def _refuse(self, state: _State, rule: str) -> None:
        self._say("up/refused", reader=state.reader.address, rule=rule)

    # Orders

    async def _order(self, state: _State, command: Mapping[str, Any]) -> None:
        part, address = state.reader.part, state.reader.address
        async with state.lock:
            panel = self._panel
            if panel is None or not state.is_up:
                raise LinkError(f"{self._device}: {part} is offline")
            done = asyncio.get_running_loop().create_future()
            state.order = (command, done)
            try:
                if not panel.submit_command(address, dict(command)):
                    raise LinkError(f"{self._device}: {part} takes no orders now")
                async with asyncio.timeout(ORDER_TIMEOUT_S):
                    await asyncio.wait({done})
            except TimeoutError:
                raise LinkError(f"{self._device}: {part} did not confirm in time") from None
            finally:
                state.order = None
                if not done.done() and self._panel is panel:
                    # It must not be carried out when the reader is back.
                    self._wire.muted.add(address)
                    panel.flush_commands(address)
                    self._set_down(state, "did not confirm an order")
                    self._rest(panel, state, time.monotonic())
            if done.cancelled():
                raise LinkError(f"{self._device}: {part} went offline")
            if done.result() != osdp.CompletionStatus.Ok:
                raise _Declined(f"{self._device}: {part} declined an order")

    def _on_confirmed(self, address: int, command: Mapping[str, Any], status: int) -> None:
        state = self._states.get(address)
        if state is None or state.order is None:
            return
        ordered, done = state.order
        is_same = all(command.get(name) == value for name, value in ordered.items())
        if is_same and not done.done():
            done.set_result(status)

    # Wishes

    async def _wishes(self) -> None:
        """Take up wishes for a new key; only somebody on this machine can make one."""
        while True:
            await asyncio.sleep(1.0)
            for address in self._states:
                wish = Wish(self._keys, self._device, address)
                if not await asyncio.to_thread(wish.take, time.time()):
                    continue
                try:
                    await self.commission(address)
                except (CommissionError, LinkError) as error:
                    outcome = str(error)
                else:
                    outcome = ""
                await asyncio.to_thread(wish.answer, outcome)

    def _say(self, address: str, **data: Any) -> None:
        payload = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._waiting.put_nowait((address, payload))
        except asyncio.QueueFull:
            log.warning("device_too_fast", device=self._device)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log.error("line_watch_ended", device=self._device, error=str(task.exception()))
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)


class _Declined(LinkError):
    """A reader said no."""
