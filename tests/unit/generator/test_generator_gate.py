import asyncio

from sparring_generator.gate import Gate


def test_who_is_alone_waits_for_those_inside_and_holds_newcomers_back() -> None:
    order: list[str] = []

    async def sample(gate: Gate, name: str, leave: asyncio.Event) -> None:
        async with gate.together():
            order.append(f"{name} in")
            await leave.wait()
            order.append(f"{name} out")

    async def load(gate: Gate) -> None:
        async with gate.alone():
            order.append("load in")
            await asyncio.sleep(0)
            order.append("load out")

    async def play() -> None:
        gate, leave = Gate(), asyncio.Event()
        early = [asyncio.create_task(sample(gate, name, leave)) for name in "ab"]
        await asyncio.sleep(0)
        loading = asyncio.create_task(load(gate))
        await asyncio.sleep(0)
        late = asyncio.create_task(sample(gate, "c", leave))
        await asyncio.sleep(0)
        leave.set()
        await asyncio.gather(*early, loading, late)

    asyncio.run(play())
    assert order == ["a in", "b in", "a out", "b out", "load in", "load out", "c in", "c out"]


def test_a_cancelled_sample_leaves_and_a_failed_load_opens_the_gate() -> None:
    async def stay(gate: Gate) -> None:
        async with gate.together():
            await asyncio.Event().wait()

    async def play() -> str:
        gate = Gate()
        sample = asyncio.create_task(stay(gate))
        await asyncio.sleep(0)
        sample.cancel()
        try:
            async with gate.alone():
                raise ValueError("load")
        except ValueError:
            pass
        async with gate.together():
            return "open"

    assert asyncio.run(asyncio.wait_for(play(), 5)) == "open"
