"""The queue over a slot of the test's own, which computes only when it is told to."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from sparring_judge.engines.engine import Computed, Description
from sparring_judge.queue.scheduler import Scheduler
from sparring_judge.tasks.units import Judgement, Plan, Reading, Unit, by_itself
from sparring_shared.errors import Broken, Busy, InvalidInput, SparringError, Unavailable


class HandSlot:
    """A unit's value is its content. Batches are kept in `begun`; each waits for a `step` before it is computed."""

    def __init__(self, batch_tokens: int) -> None:
        self.description = Description("cpu", batch_tokens)
        self.begun: list[list[str]] = []
        self._steps = asyncio.Semaphore(0)

    async def compute(self, units: Sequence[Unit]) -> Computed:
        self.begun.append([unit.key.decode(errors="replace") for unit in units])
        await self._steps.acquire()
        if any(unit.content == "poison" for unit in units):
            raise RuntimeError("out of memory")
        return Computed(tuple(unit.content for unit in units))  # pyright: ignore[reportArgumentType]

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()

    def close(self) -> None:
        pass


def unit(name: str, content: object = 1.0, tokens: int = 1) -> Unit:
    return Unit(name.encode(), tokens, content)


def plan(*units: Unit) -> Plan:
    """One candidate more than units; game (0, n + 1) is the n-th unit's."""
    count = len(units) + 1
    games = {(0, at + 1): ((1.0, at),) for at in range(len(units))}
    return Plan(units, games, Reading(1, False, (1,) * count, (False,) * count))


@asynccontextmanager
async def scheduled(batch_tokens: int, max_queued: int = 100, cache: int = 100) -> AsyncIterator[tuple[Scheduler, HandSlot]]:
    slot = HandSlot(batch_tokens)
    scheduler = Scheduler([slot], max_queued=max_queued, cache_entries=cache)
    yield scheduler, slot
    await scheduler.close()


async def judged(scheduler: Scheduler, *plans: Plan) -> list[object]:
    with scheduler.ask(plans) as pending:
        return [await one.judgement() for one in pending]


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))  # pyright: ignore[reportArgumentType]


def test_a_batch_holds_as_many_tokens_as_the_slot_likes_and_one_unit_at_least() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=4) as (scheduler, slot):
            slot.step(10)
            await judged(scheduler, plan(unit("big", tokens=9), unit("a", tokens=2), unit("b", tokens=2), unit("c", tokens=2)))
            assert slot.begun == [["a", "b"], ["c"], ["big"]]

    run(test)


def test_what_is_asked_for_by_itself_is_a_batch_and_values_of_its_own() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=3, cache=5) as (scheduler, slot):
            slot.step(10)
            first, second = plan(unit("a"), unit("b")), plan(*(unit(name) for name in "bcde"))
            await judged(scheduler, first, by_itself(first), by_itself(second))
            assert [len(batch) for batch in slot.begun] == [2, 2, 4]
            await judged(scheduler, by_itself(second))
            assert len(slot.begun) == 3
            await judged(scheduler, first)  # and some of the others are forgotten
            await judged(scheduler, by_itself(second))
            assert [len(batch) for batch in slot.begun[3:]] == [2, 4]

    run(test)


def test_of_two_requests_that_begin_alike_each_is_in_its_own_company() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=9) as (scheduler, slot):
            one, same, other = plan(unit("a"), unit("b")), plan(unit("a"), unit("b")), plan(unit("a"), unit("c"))
            asked = [asyncio.create_task(judged(scheduler, by_itself(each))) for each in (one, same, other)]
            await settle()
            slot.step(10)
            await asyncio.gather(*asked)
            assert [len(batch) for batch in slot.begun] == [2, 2]

    run(test)


def test_requests_share_the_engine() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=2) as (scheduler, slot):
            many = asyncio.create_task(judged(scheduler, plan(*(unit(f"many{n}") for n in range(6)))))
            await settle()
            few = asyncio.create_task(judged(scheduler, plan(unit("few"))))
            await settle()
            slot.step(10)
            await asyncio.gather(many, few)
            assert slot.begun == [["many0", "many1"], ["few", "many2"], ["many3", "many4"], ["many5"]]

    run(test)


def test_small_requests_go_first_until_they_amount_to_the_large_one_that_waits() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=1) as (scheduler, slot):
            asked = [asyncio.create_task(judged(scheduler, plan(unit("hold"))))]
            await settle()  # the clock stands at 1, so `large` is due at 11, the small ones at 3, 5, 7, 9 and, too late, 11
            asked.append(asyncio.create_task(judged(scheduler, plan(unit("large", tokens=10)))))
            for number in range(6):
                asked.append(asyncio.create_task(judged(scheduler, plan(unit(f"small{number}", tokens=2)))))
                await settle()
                slot.step()
                await settle()
            slot.step(10)
            await asyncio.gather(*asked)
            small = [[f"small{number}"] for number in range(6)]
            assert slot.begun == [["hold"], *small[:4], ["large"], *small[4:]]

    run(test)


def test_both_orders_of_a_pair_stay_together() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=10) as (scheduler, slot):
            first = asyncio.create_task(judged(scheduler, plan(unit("hold", tokens=9))))
            await settle()
            pairs = [plan(unit(f"{name}1", tokens=5), unit(f"{name}2", tokens=5)) for name in "ab"]
            both = [asyncio.create_task(judged(scheduler, one)) for one in pairs]
            await settle()
            slot.step(10)
            await asyncio.gather(first, *both)
            assert slot.begun == [["hold"], ["a1", "a2"], ["b1", "b2"]]

    run(test)


def test_a_unit_that_several_want_is_computed_once() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=1) as (scheduler, slot):
            both = [asyncio.create_task(judged(scheduler, plan(unit("same", 2.5)))) for _ in range(2)]
            await settle()
            slot.step(10)
            found = [await one for one in both]
            assert [one[0].logits[0, 1] for one in found if isinstance(one[0], Judgement)] == [2.5, 2.5]
            (again,) = await judged(scheduler, plan(unit("same", 2.5)))
            assert isinstance(again, Judgement)
            assert (again.cache_hits, slot.begun) == (1, [["same"]])

    run(test)


def test_what_nobody_waits_for_is_not_computed() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=1) as (scheduler, slot):
            gone = asyncio.create_task(judged(scheduler, plan(unit("running"), unit("shared"), unit("alone"))))
            await settle()
            stays = asyncio.create_task(judged(scheduler, plan(unit("shared"))))
            await settle()
            gone.cancel()
            await settle()
            slot.step(10)
            await stays
            await judged(scheduler, plan(unit("last")))
            assert slot.begun == [["running"], ["shared"], ["last"]]

    run(test)


def test_a_full_queue_is_busy_but_takes_any_request_when_empty() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=1, max_queued=2) as (scheduler, slot):
            large = asyncio.create_task(judged(scheduler, plan(*(unit(f"u{n}") for n in range(4)))))
            await settle()  # u0 is being computed, three wait
            with pytest.raises(Busy, match="3 pairs wait already") as busy:
                await judged(scheduler, plan(unit("more")))
            assert busy.value.retry_after == 1
            slot.step(10)
            await large

    run(test)


def test_known_units_are_answered_even_by_a_full_queue() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=1, max_queued=1) as (scheduler, slot):
            slot.step(1)
            await judged(scheduler, plan(unit("known")))
            waiting = asyncio.create_task(judged(scheduler, plan(unit("a"), unit("b"))))
            await settle()
            assert len(await judged(scheduler, plan(unit("known")))) == 1
            slot.step(10)
            await waiting

    run(test)


def test_a_unit_that_breaks_the_engine_fails_no_other() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=9) as (scheduler, slot):
            slot.step(10)
            bad, good = await judged(scheduler, plan(unit("bad", "poison")), plan(unit("good", 3.0)))
            assert isinstance(bad, Broken)
            assert isinstance(good, Judgement)
            assert slot.begun == [["bad", "good"], ["bad"], ["good"]]

    run(test)


@pytest.mark.parametrize("value", [math.nan, math.inf, InvalidInput("This text is refused.")])
def test_what_failed_is_tried_again_when_asked_again(value: object) -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=9) as (scheduler, slot):
            slot.step(10)
            for _ in range(2):
                bad, good = await judged(scheduler, plan(unit("bad", value)), plan(unit("good")))
                assert isinstance(bad, Broken | InvalidInput)
                assert isinstance(good, Judgement)
            assert slot.begun == [["bad", "good"], ["bad"]]

    run(test)


def test_without_a_cache_everything_is_computed() -> None:
    async def test() -> None:
        async with scheduled(batch_tokens=9, cache=0) as (scheduler, slot):
            slot.step(10)
            for _ in range(2):
                await judged(scheduler, plan(unit("a")))
            assert slot.begun == [["a"], ["a"]]

    run(test)


class ShortSlot(HandSlot):
    """Gives no value for the last unit, which no engine does."""

    async def compute(self, units: Sequence[Unit]) -> Computed:
        return Computed((await super().compute(units)).values[:-1])


def test_when_the_queue_itself_fails_nobody_waits_and_it_is_told_once() -> None:
    async def test() -> None:
        told: list[SparringError] = []
        slots = [ShortSlot(batch_tokens=2), ShortSlot(batch_tokens=2)]
        scheduler = Scheduler(slots, max_queued=100, cache_entries=0, on_failure=told.append)
        asked = asyncio.create_task(judged(scheduler, plan(unit("a", 1.5)), plan(unit("b")), plan(unit("c")), plan(unit("d"))))
        await settle()
        slots[0].step()
        found = await asked
        assert [type(one) for one in found] == [Judgement, Unavailable, Unavailable, Unavailable]
        assert [error.message for error in told] == ["The judge failed (ValueError; see its log) and has to be started again."]
        with pytest.raises(Unavailable, match="has to be started again"):
            await judged(scheduler, plan(unit("a", 1.5)))
        await scheduler.close()

    run(test)


def test_an_engine_that_fails_on_what_it_can_compute_is_at_fault() -> None:
    async def test() -> None:
        told: list[SparringError] = []
        slot = HandSlot(batch_tokens=9)
        probe = [unit("probe", "poison")]
        scheduler = Scheduler([slot], max_queued=100, cache_entries=0, probe=probe, on_failure=told.append)
        slot.step(10)
        (found,) = await judged(scheduler, plan(unit("a", "poison")))
        assert isinstance(found, Unavailable)
        assert (slot.begun, len(told)) == ([["a"], ["probe"]], 1)
        await scheduler.close()

    run(test)


def test_a_unit_that_fails_where_the_probe_does_not_is_at_fault_itself() -> None:
    async def test() -> None:
        slot = HandSlot(batch_tokens=9)
        scheduler = Scheduler([slot], max_queued=100, cache_entries=0, probe=[unit("probe")])
        slot.step(10)
        bad, good = await judged(scheduler, plan(unit("bad", "poison")), plan(unit("good", 3.0)))
        assert isinstance(bad, Broken) and isinstance(good, Judgement)
        assert slot.begun == [["bad", "good"], ["bad"], ["probe"], ["good"]]
        await scheduler.close()

    run(test)
