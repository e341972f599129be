"""What templates call the things of the set-up."""

from __future__ import annotations

from django import template

from anlin.hub.setup.drivers import family

register = template.Library()


@register.filter
def driver_word(driver: str) -> str:
    """Name the family of devices that a driver speaks to."""
    return str(family(driver))
