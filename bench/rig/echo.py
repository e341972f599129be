"""The floor under a gate: answers each message at once, without looking at it.

`python -m bench.rig.echo PORT USER PASSWORD`: what is published to anlin/v1/<name>/down/ask
comes back on anlin/v1/<name>/down/relay, through the same broker and the same client library.
"""

from __future__ import annotations

import asyncio
import sys

import aiomqtt

from bench.rig.processes import HOST, NO_DELAY


async def main(port: int, user: str, password: str) -> None:
    """Echo until killed."""
    async with aiomqtt.Client(
        HOST, port, username=user, password=password, identifier=user, socket_options=NO_DELAY
    ) as client:
        await client.subscribe("anlin/v1/+/down/ask", qos=1)
        sys.stdout.write("echo_ready\n")
        sys.stdout.flush()
        async for message in client.messages:
            topic = str(message.topic).removesuffix("ask") + "relay"
            await client.publish(topic, message.payload, qos=1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
