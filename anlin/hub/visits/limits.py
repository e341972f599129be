"""How often a stranger may ask: few enough that nobody finds out who lives where by trying."""

from __future__ import annotations

from django.core.cache import cache
from django.http import HttpRequest

PER_ADDRESS = 10
"""Requests an hour from one address: a whole family behind one router asks less."""

PER_COMMUNITY = 120
"""Requests an hour for one community, whoever asks; beyond it visitors go to the guard."""

HOUR_S = 3600


def may_ask(request: HttpRequest, community: str) -> bool:
    """Count a request; say whether it may be made."""
    address = str(request.META.get("REMOTE_ADDR", ""))
    counters = {
        f"visit-ask-{address.encode().hex()[:80]}": PER_ADDRESS,
        f"visit-ask-all-{community[:24]}": PER_COMMUNITY,
    }
    allowed = True
    for key, most in counters.items():
        cache.add(key, 0, timeout=HOUR_S)
        try:
            allowed = cache.incr(key) <= most and allowed
        except ValueError:
            # It ran out between the two lines; this one is the first of a new hour.
            cache.set(key, 1, timeout=HOUR_S)
    return allowed
