"""Who comes to the gates while everything breaks, and what must be said to each."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from anlin.sim.camera import Camera
from anlin.sim.chaos.witness import Witness
from anlin.sim.gate import Habits
from anlin.sim.plates import Cars
from anlin.sim.town import Town

STRANGERS_CARD = "04FFFF01"
PAUSE_S = 1.2
"""Between two people at one gate; seven gates make the morning of a few thousand homes."""

GUARD_PAUSE_S = 4.0
CAR_S = 6.0


@dataclass(slots=True)
class Expected:
    """What must come of each presentation, by device and message id."""

    granted: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    passes: dict[str, list[str]] = field(default_factory=dict)
    """Presentations of each pass that is good for one entry."""
    commands: dict[str, float] = field(default_factory=dict)
    """Orders of the guard, with the time of each."""
    tampers: dict[str, bool] = field(default_factory=dict)
    cars: int = 0


class People:
    """Residents, visitors, strangers, a car and a guard, until cancelled."""

    def __init__(
        self,
        town: Town,
        gates: dict[str, Witness],
        camera: Camera,
        cars: Cars,
        passes: list[str],
        open_from_desk: Callable[[str], Awaitable[str]],
        dice: random.Random,
    ) -> None:
        self.expected = Expected()
        self._town = town
        self._gates = gates
        self._camera = camera
        self._cars = cars
        self._passes = passes
        self._open_from_desk = open_from_desk
        self._dice = dice

    async def live(self) -> None:
        """Let them come and go until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self._gates:
                group.create_task(self._at(name))
            group.create_task(self._visitors())
            group.create_task(self._guard())
            group.create_task(self._drive())

    async def _at(self, name: str) -> None:
        gate = self._gates[name]
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / PAUSE_S))
            gate.habits = Habits(open_s=self._dice.uniform(0.3, 1.5))
            deed = self._dice.random()
            if deed < 0.55:
                self._card(gate, self._resident_of(name), is_welcome=True)
            elif deed < 0.65:
                self._card(gate, STRANGERS_CARD, is_welcome=False)
            elif deed < 0.72:
                self._card(gate, self._town.cast["钱"].card, is_welcome=False)
            elif deed < 0.80 and name.startswith("door-"):
                self._card(gate, self._resident_of(name, elsewhere=True), is_welcome=False)
            elif deed < 0.83:
                is_active = not self.expected.tampers.get(gate.id, False)
                self.expected.tampers[gate.id] = is_active
                gate.tamper(is_active)
            else:
                self.expected.granted.add(f"{gate.id}/{gate.press()}")

    def _card(self, gate: Witness, card: str, *, is_welcome: bool) -> None:
        origin = f"{gate.id}/{gate.read('in', 'card', card)}"
        (self.expected.granted if is_welcome else self.expected.denied).add(origin)

    def _resident_of(self, name: str, *, elsewhere: bool = False) -> str:
        building = name.removeprefix("door-") if name.startswith("door-") else ""
        others = [
            other
            for other in self._town.others
            if not building or (other.building == building) != elsewhere
        ]
        return self._dice.choice(others).card

    async def _visitors(self) -> None:
        """Show each pass three times, at both gates: it is good for one of them."""
        gates = [self._gates[name] for name in ("north", "south")]
        for text in self._passes:
            shown = self.expected.passes.setdefault(text, [])
            for _ in range(3):
                await asyncio.sleep(self._dice.expovariate(1 / PAUSE_S))
                gate = self._dice.choice(gates)
                shown.append(f"{gate.id}/{gate.read('in', 'qr', text)}")
        await asyncio.Event().wait()

    async def _guard(self) -> None:
        """Open from the desk now and then, also when the order can't arrive in time."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / GUARD_PAUSE_S))
            name = self._dice.choice(sorted(self._gates))
            at = time.monotonic()
            command = await self._open_from_desk(self._town.controllers[name].portal)
            if command:
                self.expected.commands[command] = at

    async def _drive(self) -> None:
        """Drive the resident's car up to the lane and away."""
        lane = self._gates["lane"]
        while True:
            await asyncio.sleep(self._dice.uniform(2.0, CAR_S))
            lane.loop(is_occupied=True)
            self._camera.show(self._cars.resident.picture, CAR_S)
            self.expected.cars += 1
            await asyncio.sleep(CAR_S)
            self._camera.clear()
            lane.loop(is_occupied=False)
