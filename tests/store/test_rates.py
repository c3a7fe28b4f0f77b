"""The shared view of the rate limits: how room is taken, given back and shared, in any order."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest

from harness.store.database import Database
from harness.store.queries import trusted
from harness.store.rates import Bucket, Heard, Kind, Need, Rates, Verdict, key_hash
from tests.kit.metering import Meter
from tests.kit.seeds import run_seed

ONE = Need(input=0, output=0)
URL = "https://model.example.com"


def rates(database: Database, tenant: str = "t", key: str = "sk-1") -> Rates:
    return Rates(database, URL, key, tenant)


async def known(database: Database, limit: float, left: float, *, minutes: float = 1, **more: Bucket) -> None:
    """Let an answer have told how many requests are left; the bucket fills in so many minutes."""
    told: dict[Kind, Bucket] = {"requests": Bucket(limit, left, limit / 60 / minutes)}
    for kind in ("input", "output"):
        if kind in more:
            told[kind] = more[kind]
    await rates(database).heard("m", uuid.uuid4(), Heard(200, told))


SLOW = 1e6
"""Minutes in which a bucket fills that is to stay as it is while a test runs."""


async def asks(
    database: Database, tenant: str = "t", need: Need = ONE, *, waits: bool = False, model: str = "m"
) -> bool:
    return (await rates(database, tenant).ask(model, uuid.uuid4(), need, waits=waits)).granted


async def later(database: Database, seconds: float) -> None:
    """Let time pass: all that the tables know is so much older."""
    for table, columns in (
        ("rate_limit", ("counted_at", "blocked_until")),
        ("rate_call", ("since", "until")),
        ("rate_share", ("used_at",)),
    ):
        moved = ", ".join(f"{each} = {each} - make_interval(secs => {seconds})" for each in columns)
        await database.run(trusted(f"update {table} set {moved}"))


# -- what is taken


async def test_what_is_not_known_limits_nothing(database: Database) -> None:
    """The first calls pass; of a limit that no answer has told, none ever waits."""
    verdict = await rates(database).ask("m", uuid.uuid4(), Need(10**9, 10**9))
    assert (verdict.granted, verdict.noted) == (True, False)
    await known(database, 10, 5)
    assert await asks(database, need=Need(10**9, 10**9))


async def test_no_more_are_sent_than_are_left(database: Database) -> None:
    """Of calls that ask at the same time over several pools exactly as many pass as there is room for."""
    await known(database, 100, 17, minutes=SLOW)
    async with await Database.open(database.dsn) as second, await Database.open(database.dsn) as third:
        pools = [database, second, third]
        passed = await asyncio.gather(*(asks(pools[number % 3]) for number in range(60)))
    assert sum(passed) == 17


async def test_every_limit_counts(database: Database) -> None:
    """Room for the request is not enough: its tokens need room, too, in both directions."""
    wide = Bucket(1000, 1000, 1e-9)
    await known(database, 100, 100, minutes=SLOW, input=Bucket(1000, 100, 1e-9), output=wide)
    assert not await asks(database, need=Need(input=101, output=1))
    assert await asks(database, need=Need(input=60, output=900))
    assert not await asks(database, need=Need(input=60, output=1))
    assert not await asks(database, need=Need(input=1, output=101))
    assert await asks(database, need=Need(input=40, output=100))


async def test_what_needs_more_than_there_can_be_gets_all_there_can_be(database: Database) -> None:
    """A request larger than a limit waits for the full bucket, and not for ever."""
    await known(database, 100, 100, minutes=SLOW, input=Bucket(1000, 1000, 1e-9))
    assert await asks(database, need=Need(input=5000, output=0))
    assert not await asks(database, need=Need(input=1, output=0))


async def test_room_comes_back_with_time_up_to_the_limit(database: Database) -> None:
    """A minute fills a bucket; what is waited for is told."""
    await known(database, 60, 0)
    verdict = await rates(database).ask("m", uuid.uuid4(), ONE, waits=False)
    assert not verdict.granted
    assert 0.5 < verdict.short_s <= 1
    await later(database, 3.5)
    assert [await asks(database) for _ in range(5)][:3] == [True] * 3
    await later(database, 3600)
    assert sum([await asks(database) for _ in range(63)]) in (60, 61)


async def test_models_and_keys_have_buckets_of_their_own(database: Database) -> None:
    """The service counts by model, and another key is another account."""
    await known(database, 10, 0, minutes=SLOW)
    assert not await asks(database)
    assert await asks(database, model="other")
    assert (await rates(database, key="sk-2").ask("m", uuid.uuid4(), ONE)).granted


async def test_the_key_is_not_stored(database: Database) -> None:
    """What stands in the tables is a hash, of the endpoint too."""
    key = "sk-ant-the-real-key"
    mine = rates(database, key=key)
    call = uuid.uuid4()
    await mine.heard("m", call, Heard(200, {"requests": Bucket(10, 9, 1.0)}))
    await mine.ask("m", call, ONE)
    for table in ("rate_limit", "rate_call", "rate_share"):
        rows = await database.all(trusted(f"select * from {table}"))
        assert rows
        assert key not in str(rows)
        assert {row["key"] for row in rows} == {key_hash(URL, key)}
    assert key_hash(URL, key) != key_hash("https://elsewhere.example.com", key)


# -- what answers tell


async def test_an_answer_replaces_the_estimate(database: Database) -> None:
    """What the service says is left counts, less what other calls under way are taken to need."""
    await known(database, 100, 100, minutes=SLOW, input=Bucket(1000, 1000, 1e-9))
    first, second = uuid.uuid4(), uuid.uuid4()
    mine = rates(database)
    for call in (first, second):
        assert (await mine.ask("m", call, Need(input=400, output=0))).granted
    await mine.heard("m", first, Heard(200, {"input": Bucket(1000, 990, 1e-9)}))
    assert not await asks(database, need=Need(input=591, output=0))
    assert await asks(database, need=Need(input=590, output=0))


async def test_answers_may_be_heard_in_another_order(database: Database) -> None:
    """What an older answer says does not bring back what a later one has told to be used."""
    await known(database, 100, 100, minutes=SLOW, input=Bucket(1000, 1000, 1e-9))
    first, second = uuid.uuid4(), uuid.uuid4()
    for call in (first, second):
        assert (await rates(database).ask("m", call, Need(input=100, output=0))).granted
    await rates(database).heard("m", second, Heard(200, {"input": Bucket(1000, 800, 1e-9)}))
    await rates(database).heard("m", first, Heard(200, {"input": Bucket(1000, 900, 1e-9)}))
    assert not await asks(database, need=Need(input=801, output=0))
    assert await asks(database, need=Need(input=800, output=0))


async def test_what_others_use_of_the_key_is_learned(database: Database) -> None:
    """Somebody outside the harness has used the key: the lower figure counts."""
    await known(database, 100, 100, minutes=SLOW)
    call = uuid.uuid4()
    await rates(database).ask("m", call, ONE)
    await rates(database).heard("m", call, Heard(200, {"requests": Bucket(100, 2, 1e-9)}))
    assert [await asks(database) for _ in range(3)] == [True, True, False]


async def test_a_refused_call_has_taken_nothing(database: Database) -> None:
    """What it was taken to need is there again."""
    await known(database, 100, 1, minutes=SLOW, output=Bucket(100, 100, 1e-9))
    call = uuid.uuid4()
    assert (await rates(database).ask("m", call, Need(0, 100))).granted
    await rates(database).heard("m", call, Heard(500))
    assert await asks(database, need=Need(0, 100))


async def test_an_answer_makes_room_for_what_it_did_not_write(database: Database) -> None:
    """Output is taken by estimate until the answer has ended; then by what was written."""
    await known(database, 100, 100, minutes=SLOW, output=Bucket(1000, 1000, 1e-9))
    call = uuid.uuid4()
    mine = rates(database)
    assert (await mine.ask("m", call, Need(0, 1000))).granted
    told: dict[Kind, Bucket] = {"output": Bucket(1000, 1000, 1e-9)}
    await mine.heard("m", call, Heard(200, told))
    assert not await asks(database, need=Need(0, 1))
    await mine.settle("m", call, 300)
    assert not await asks(database, need=Need(0, 701))
    assert await asks(database, need=Need(0, 700))
    assert await database.all("select from rate_call where call = %(call)s", {"call": call}) == []


async def test_a_block_holds_for_all(database: Database) -> None:
    """retry-after of one call stops every other until then, whatever room there is; the longest counts."""
    await known(database, 100, 100)
    await rates(database, "a").heard("m", uuid.uuid4(), Heard(429, {}, 30))
    await rates(database, "a").heard("m", uuid.uuid4(), Heard(529, {}, 5))
    verdict = await rates(database, "b").ask("m", uuid.uuid4(), ONE)
    assert not verdict.granted
    assert 29 < verdict.blocked_s <= 30
    assert verdict.blocked_status == 429
    assert verdict.blocked_until is not None
    await later(database, 30)
    assert await asks(database, "b")


async def test_a_dead_worker_takes_nothing_for_long(database: Database) -> None:
    """Its call under way counts as such for two minutes at most."""
    await known(database, 100, 100, minutes=SLOW, input=Bucket(1000, 1000, 1e-9))
    assert await asks(database, need=Need(900, 0))
    told = Heard(200, {"input": Bucket(1000, 1000, 1000 / 60)})
    await rates(database).heard("m", uuid.uuid4(), told)
    assert not await asks(database, need=Need(500, 0))
    await later(database, 121)
    assert await asks(database, need=Need(1000, 0))


# -- who goes first


async def test_the_tenant_that_used_least_goes_first(database: Database) -> None:
    """A single call passes a hundred that wait of a tenant that has just had its share."""
    await known(database, 60, 3, minutes=SLOW)
    hog, single = rates(database, "hog"), rates(database, "single")
    assert [await asks(database, "hog") for _ in range(3)] == [True] * 3
    waiting = [uuid.uuid4() for _ in range(100)]
    for call in waiting:
        assert not (await hog.ask("m", call, ONE)).granted
    mine = uuid.uuid4()
    assert not (await single.ask("m", mine, ONE)).granted
    await database.run("update rate_limit set requests_left = 1")
    for call in waiting:
        assert not (await hog.ask("m", call, ONE)).granted, "the room is the other's"
    assert (await single.ask("m", mine, ONE)).granted
    await database.run("update rate_limit set requests_left = 1")
    assert (await hog.ask("m", waiting[0], ONE)).granted


async def test_room_for_both_goes_to_both(database: Database) -> None:
    """Nobody is kept waiting by one who has what it needs but has not asked again yet."""
    await known(database, 60, 1, minutes=SLOW)
    assert await asks(database, "hog")
    single, hog = uuid.uuid4(), uuid.uuid4()
    assert not (await rates(database, "single").ask("m", single, ONE)).granted
    await database.run("update rate_limit set requests_left = 2")
    assert (await rates(database, "hog").ask("m", hog, ONE)).granted
    assert (await rates(database, "single").ask("m", single, ONE)).granted


async def test_of_one_tenant_the_longest_waiting_goes_first(database: Database) -> None:
    """A place in the line is kept by asking again."""
    await known(database, 60, 0, minutes=SLOW)
    early, late = uuid.uuid4(), uuid.uuid4()
    mine = rates(database)
    await mine.ask("m", late, ONE, waited_s=1)
    await mine.ask("m", early, ONE, waited_s=3)
    await database.run("update rate_limit set requests_left = 1")
    assert not (await mine.ask("m", late, ONE, waited_s=1)).granted
    assert (await mine.ask("m", early, ONE, waited_s=3)).granted


async def test_a_dead_waiter_blocks_nobody(database: Database) -> None:
    """A place that is not asked for again is lost in seconds, and at once when it is given up."""
    await known(database, 60, 1, minutes=SLOW)
    assert await asks(database, "hog")
    for leaves in (True, False):
        call = uuid.uuid4()
        assert not (await rates(database, "single").ask("m", call, ONE)).granted
        await database.run("update rate_limit set requests_left = 1")
        assert not await asks(database, "hog")
        if leaves:
            await rates(database, "single").leave("m", call)
        else:
            await later(database, 5.1)
        assert await asks(database, "hog")


async def test_who_waits_without_a_place_blocks_nobody(database: Database) -> None:
    """The first look, before standing in line, leaves nothing behind."""
    await known(database, 60, 0, minutes=SLOW)
    assert not await asks(database, waits=False)
    assert await database.all("select from rate_call") == []


@pytest.mark.parametrize("round_", range(3))
async def test_tenants_with_much_to_do_get_the_same(database: Database, round_: int) -> None:
    """With any number of calls waiting each, in any order, nobody gets ahead by more than a call or two."""
    random = Random(run_seed() + round_)
    print("seed", run_seed() + round_)
    await known(database, 600, 0, minutes=SLOW)
    waiting = {"a": 20, "b": 3, "c": 1}
    calls = [(tenant, uuid.uuid4()) for tenant, count in waiting.items() for _ in range(count)]
    had: Counter[str] = Counter()
    while sum(had.values()) < 45:
        random.shuffle(calls)
        for room in (0, 1):
            await database.run("update rate_limit set requests_left = %(room)s", {"room": room})
            for number, (tenant, call) in enumerate(calls):
                if (await rates(database, tenant).ask("m", call, ONE)).granted:
                    had[tenant] += 1
                    calls[number] = (tenant, uuid.uuid4())
                    break
    assert max(had.values()) - min(had[tenant] for tenant in waiting) <= 2, had


# -- the whole, over random histories


@dataclass
class Sent:
    """A call on its way: to the service, back from it, or being read."""

    tenant: str
    call: uuid.UUID
    need: Need
    told: dict[Kind, Bucket] | None = None
    written: float = 0


@pytest.mark.parametrize("round_", range(4))
async def test_the_service_never_has_to_refuse(database: Database, round_: int) -> None:
    """Whatever arrives in whatever order: where estimates are no lower than what is used, no bucket runs dry.

    The service is simulated; it counts by itself, and hears of calls late, as we hear late of its answers.
    """
    random = Random(run_seed() + round_)
    print("seed", run_seed() + round_)
    began, skipped = time.monotonic(), 0.0
    limits: dict[Kind, float] = {"requests": 60, "input": 6000, "output": 3000}
    meter = Meter(limits, {"requests": 6, "input": 900, "output": 700}, lambda: time.monotonic() + skipped)
    await rates(database).heard("m", uuid.uuid4(), Heard(200, meter.told()))
    out: list[Sent] = []
    back: list[Sent] = []
    reading: list[Sent] = []
    ended = 0
    for _ in range(400):
        match random.choices(("ask", "arrive", "answer", "end", "wait"), (6, 4, 4, 3, 2))[0]:
            case "ask":
                need = Need(input=random.randint(1, 300), output=random.randint(1, 150))
                sent = Sent(random.choice("abc"), uuid.uuid4(), need)
                if (await rates(database, sent.tenant).ask("m", sent.call, need, waits=False)).granted:
                    out.append(sent)
            case "arrive" if out:
                sent = out.pop(random.randrange(len(out)))
                sent.written = sent.need.output * random.choice((0, 0.5, 1, 1))
                used: dict[Kind, float] = {
                    "requests": 1,
                    "input": sent.need.input * random.choice((0, 0.5, 1, 1)),
                    "output": 0,
                }
                assert meter.admits(used), (sent, meter)
                sent.told = meter.told()
                meter.take("output", sent.written)
                assert meter.left["output"] >= -1e-6, (sent, meter)
                back.append(sent)
            case "answer" if back:
                sent = back.pop(random.randrange(len(back)))
                await rates(database).heard("m", sent.call, Heard(200, sent.told or {}))
                reading.append(sent)
            case "end" if reading:
                sent = reading.pop(random.randrange(len(reading)))
                await rates(database).settle("m", sent.call, math.ceil(sent.written))
                ended += 1
            case "wait":
                seconds = random.choice((0.1, 1.0, 4.0))
                skipped += seconds
                await later(database, seconds)
            case _:
                pass
    assert meter.refused == 0
    assert ended > 5, "much was sent all the same"
    assert time.monotonic() > began


async def test_all_who_wait_are_sent(database: Database) -> None:
    """Large and small calls of three tenants: each gets its room, and the largest is not passed for ever."""
    await known(database, 600, 600, input=Bucket(6000, 0, 100.0))
    random = Random(run_seed())
    print("seed", run_seed())
    waiting = [
        (random.choice("abc"), uuid.uuid4(), Need(input=need, output=0))
        for need in [5900, *(random.randint(1, 300) for _ in range(30))]
    ]
    owed = sum(need.input for _, _, need in waiting)
    waited = 0.0
    while waiting and waited < 10 * owed / 100:
        random.shuffle(waiting)
        verdicts: list[Verdict] = []
        for tenant, call, need in list(waiting):
            verdicts.append(await rates(database, tenant).ask("m", call, need, waited_s=waited))
            if verdicts[-1].granted:
                waiting.remove((tenant, call, need))
        await later(database, 1)
        waited += 1
    assert waiting == []
    assert waited <= owed / 100 + 5, "hardly any room was left unused"
