"""What a service answers to a request that breaks a rule."""

from __future__ import annotations


class RuleError(ValueError):
    """A request that breaks a rule. Its text is translated and meant for the person who asked.

    `field` names the input at fault, where there is one.
    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field
