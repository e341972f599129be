"""Run the live process."""

from __future__ import annotations

import argparse

import uvicorn

SHUTDOWN_S = 1
"""Streams never end by themselves; whoever listens comes back and misses nothing."""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Anlin hub: live process")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    uvicorn.run(
        "anlin.hub.live:application",
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


if __name__ == "__main__":
    main()
