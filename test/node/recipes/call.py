# Runs the Python recipe of docs/recipes.md, which lies beside it as recipe.py: both ends of a relayed call, until its credential was renewed
# so many times. Prints how many messages were sent and received.
import asyncio
import json
import sys

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from recipe import keep_call

options = json.loads(sys.argv[1])
counts = {"sent": 0, "received": 0, "renewals": -1}
callees = []
current = None


async def get_token():
    return options["token"]


def relay_only(description):
    """aiortc has no relay-only policy: the other side is shown the relays and nothing else."""
    lines = description.sdp.splitlines(True)
    sdp = "".join(line for line in lines if not line.startswith("a=candidate") or " typ relay" in line)
    return RTCSessionDescription(sdp, description.type)


async def connect(ice_servers):
    caller, callee = (RTCPeerConnection(RTCConfiguration(iceServers=ice_servers)) for _ in range(2))
    callees.append(callee)

    @callee.on("datachannel")
    def on_channel(channel):
        @channel.on("message")
        def on_message(_):
            counts["received"] += 1

    caller.channel = caller.createDataChannel("data")
    opened = asyncio.Event()
    caller.channel.on("open", opened.set)
    await caller.setLocalDescription(await caller.createOffer())
    await callee.setRemoteDescription(relay_only(caller.localDescription))
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(relay_only(callee.localDescription))
    await asyncio.wait_for(opened.wait(), 10)
    return caller


async def use(pc):
    global current
    current = pc.channel
    counts["renewals"] += 1


async def main():
    call = asyncio.create_task(keep_call(options["url"], get_token, connect, use))
    left = 50
    while left > 0 and not call.done():
        left -= counts["renewals"] >= options["renewals"]
        if current:
            current.send("x")
            counts["sent"] += 1
        await asyncio.sleep(0.02)
    for _ in range(250):
        if counts["received"] < counts["sent"]:
            await asyncio.sleep(0.02)
    print(json.dumps(counts), flush=True)
    call.cancel()
    await asyncio.gather(call, *(callee.close() for callee in callees), return_exceptions=True)


asyncio.run(main())
