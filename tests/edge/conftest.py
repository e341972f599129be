from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from anlin.core.entities import Entity
from anlin.testing.site import Site

Make = Callable[..., Site]


@pytest_asyncio.fixture
async def make_site(tmp_path: Path) -> AsyncIterator[Make]:
    """Make a site, whose policy may differ from the cast's."""
    made: list[Site] = []

    def make(*instead: Entity) -> Site:
        made.append(Site(tmp_path / str(len(made)), *instead))
        return made[-1]

    yield make
    for site in made:
        await site.stop()


@pytest.fixture
def site(make_site: Make) -> Site:
    return make_site()
