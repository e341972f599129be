"""One target under atheris, until the time is over or it broke: `python -m fuzz.one NAME …`.

What follows the name goes to libFuzzer.
"""

from __future__ import annotations

import logging
import sys

import atheris

from fuzz.mutate import mutate


def main() -> None:
    """Instrument our own code and the broker's, then let libFuzzer call the target."""
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["anlin", "amqtt", "uhppoted"]):
        import structlog

        from fuzz.targets import TARGETS, run_one

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        which = TARGETS[sys.argv[1]]
        for seed in which.seeds():
            # Here, because targets import late, and what they make is made at the first call.
            run_one(which, seed)
    atheris.Setup(
        [sys.argv[0], *sys.argv[2:]],
        lambda data: run_one(which, data),
        custom_mutator=lambda data, most, seed: mutate(data, most, seed, atheris.Mutate),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
