from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    """Rules are tried by their English words; that each has its Chinese is tested elsewhere."""
    with translation.override("en"):
        yield
