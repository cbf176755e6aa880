"""A protocol that touchstone has never heard of: topics that tick, orders and their acknowledgements, a close code of its own."""
import asyncio, json, os
from websockets.asyncio.server import serve

async def ticker(peer):
    seq, topics = 0, {}
    async def tell(**what):
        nonlocal seq
        seq += 1
        await peer.send(json.dumps({"seq": seq, **what}))
    async def tick(topic):
        while True:
            await asyncio.sleep(0.25)
            await tell(tick=topic)
    try:
        async for order in peer:
            match json.loads(order):
                case {"op": "subscribe", "topic": str(topic), "id": int(number)} if topic not in topics:
                    await tell(ack=number)
                    topics[topic] = asyncio.create_task(tick(topic))
                case {"op": "unsubscribe", "topic": str(topic), "id": int(number)} if topic in topics:
                    topics.pop(topic).cancel()
                    await tell(ack=number)
                case _:
                    raise ValueError
    except ValueError:
        await peer.close(4400, "not an order")
    finally:
        for task in topics.values():
            task.cancel()

def guard(peer, request):
    if request.headers.get("X-Api-Key") != "open sesame":
        return peer.respond(401, "who are you?\n")

async def main():
    port = int(os.environ["PORT"])
    async with serve(ticker, "127.0.0.1", port, subprotocols=["ticker.v1"], process_request=guard) as server:
        await server.serve_forever()

asyncio.run(main())
