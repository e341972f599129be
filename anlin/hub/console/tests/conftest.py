from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client

from anlin.hub.console.tests.world import SignIn, World, make_world

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def _catalogues() -> None:
    """Compile the catalogues of a checkout; an installed package has them compiled."""
    script = ROOT / "scripts" / "compile_messages.py"
    if script.exists():
        subprocess.run([sys.executable, str(script)], check=True, capture_output=True)


@pytest.fixture
def world(db: None, _catalogues: None) -> World:
    cache.clear()
    return make_world()


@pytest.fixture
def sign_in(world: World) -> SignIn:
    """Give a browser in which a member of the staff is signed in, in English unless told."""

    def signed(name: str, language: str = "en", of: World | None = None) -> Client:
        client = Client(headers={"accept-language": language})
        client.force_login((of or world).staff[name].user)
        return client

    return signed
