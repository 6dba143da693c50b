"""What shall happen? A schedule: a fleet, its queues, and steps at virtual times. A seed makes one; it is JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

SECONDS = 60.0
"""How long users and faults go on; then everything is healed, and all work must come to its end."""

Step = dict[str, Any]


@dataclass
class Place:
    """Where one process runs at a time. `names` it handles; `kind` oxcart or node."""

    name: str
    kind: str
    concurrency: int
    names: list[str]
    lock_ms: int
    stalled_ms: int
    grace_seconds: float
    skew_ms: int = 0


@dataclass
class Schedule:
    """`seed` also draws what the network does between the steps. `distance_seconds`: one way to the server, always."""

    seed: int
    queues: list[str]
    places: list[Place]
    steps: list[Step] = field(default_factory=list)
    distance_seconds: float = 0.0005

    def to_json(self) -> str:
        return json.dumps({**self.__dict__, "places": [place.__dict__ for place in self.places]}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        values = json.loads(text)
        return cls(**{**values, "places": [Place(**place) for place in values["places"]]})

    def without(self, positions: set[int]) -> Schedule:
        return replace(self, steps=[step for at, step in enumerate(self.steps) if at not in positions])


def make(seed: int) -> Schedule:
    random = Random(f"schedule:{seed}")
    queues = ["q1", "q2", "q3"][: random.choice((1, 2, 2, 3))]
    lock_ms = random.choice((3000, 6000, 15_000))
    stalled_ms = random.choice((2000, 5000, 15_000))
    places = [
        Place(
            f"w{number}",
            "oxcart",
            random.choice((1, 1, 2, 3, 8)),
            random.choice((["a", "b"], ["a", "b"], ["a"])) if number > 1 else ["a", "b"],
            lock_ms,
            stalled_ms,
            random.choice((0.0, 2.0, 8.0)),
            random.choice((0, 0, 0, 120_000, -45_000)),
        )
        for number in range(1, random.choice((1, 2, 2, 3)) + 1)
    ]
    if random.random() < 0.4:
        places.append(Place("n1", "node", random.choice((1, 3)), ["a", "b"], lock_ms, stalled_ms, 5.0))
    schedule = Schedule(seed, queues, places, distance_seconds=random.choice((0.0005, 0.0005, 0.01, 0.04)))
    _add_users(schedule, random)
    _add_faults(schedule, random)
    schedule.steps.sort(key=lambda step: step["at"])
    return schedule


# ------------------------------------------------------------------------------------------------ users
_RUNS = (0, 0, 0, 0.01, 0.2, 1.0, 1.0, 4.0, 20.0)
_QUICK_RUNS = (0, 0, 0, 0.01)  # so quick that jobs are claimed ahead


def _add_users(schedule: Schedule, random: Random) -> None:
    number = 0
    foreign = random.random() < 0.25
    runs = random.choice((_RUNS, _RUNS, _QUICK_RUNS))
    for _ in range(random.choice((2, 4, 8))):
        at, queue = round(random.uniform(0, SECONDS), 3), random.choice(schedule.queues)
        for _ in range(random.choice((1, 3, 10, 20, 40) if runs is _QUICK_RUNS else (1, 3, 10, 20))):
            number += 1
            at = round(at + random.choice((0, 0, 0.001, 0.01, 0.03, 0.3)), 3)
            schedule.steps.append(_add(random, at, queue, number, runs, foreign=foreign))
    for _ in range(random.choice((0, 1, 3))):
        schedule.steps.append(_other_use(random, schedule.queues))


def _add(random: Random, at: float, queue: str, number: int, runs: tuple[float, ...], *, foreign: bool) -> Step:
    step: Step = {"at": at, "do": "add", "queue": queue, "n": number, "name": random.choice(("a", "a", "a", "b"))}
    if foreign and random.random() < 0.3:
        step["name"] = "x"
    step["run"] = random.choice(runs)
    options: dict[str, Any] = {}
    draw = random.random()
    if draw < 0.1:
        options["delay_seconds"] = random.choice((0.5, 3.0, 12.0))
    elif draw < 0.2:
        options["priority"] = random.choice((1, 5, 9))
    elif draw < 0.25:
        options["lifo"] = True
    if random.random() < 0.3:
        options["attempts"] = random.choice((2, 3, 5))
        step["fails"] = random.choice((0, 1, 2, 9))
        if random.random() < 0.6:
            options["backoff"] = random.choice(("fixed:500ms", "exponential:1s", "fixed:2s:0.5"))
    if random.random() < 0.08:
        step["asks"] = random.choice(("snooze", "limit", "discard"))
    if random.random() < 0.15:
        step["reports"] = True
    if random.random() < 0.06:
        options["deduplication"] = f"d{random.randint(1, 3)}"
    elif random.random() < 0.06:
        step["children"] = random.choice((1, 2, 3))
        step["if_fails"] = random.choice(("fail_parent", "continue_parent", "ignore_dependency", "remove_dependency"))
    elif random.random() < 0.7:
        step["id"] = f"j{number}"
    if options:
        step["options"] = options
    return step


def _other_use(random: Random, queues: list[str]) -> Step:
    at, queue = round(random.uniform(1, SECONDS), 3), random.choice(queues)
    do = random.choice(
        ("pause", "pause5", "remove", "retry", "cancel", "concurrency", "rate", "every", "obliterate", "many")
    )
    step: Step = {"at": at, "do": do, "queue": queue}
    if do in {"pause", "pause5"}:
        step["seconds"] = random.choice((1.0, 8.0, 30.0))
    elif do in {"remove", "retry", "cancel"}:
        step["n"] = random.randint(1, 30)
    elif do == "concurrency":
        step |= {"most": random.choice((1, 2, 4)), "seconds": random.choice((10.0, 40.0))}
    elif do == "rate":
        step |= {
            "most": random.choice((1, 3)),
            "per": random.choice((1.0, 4.0, 20.0)),
            "seconds": random.choice((10.0, 30.0)),
        }
    elif do == "every":
        step |= {"every": random.choice((2.0, 7.0)), "seconds": random.choice((10.0, 30.0))}
    elif do == "many":
        step |= {"first": 1000 + 100 * random.randint(0, 50), "count": random.choice((3, 20))}
    return step


# ------------------------------------------------------------------------------------------------ faults
_USER = Place("u1", "user", 0, [], 0, 0, 0.0)
"""Who adds and operates has a network, too."""


def _add_faults(schedule: Schedule, random: Random) -> None:
    for _ in range(random.choice((0, 1, 2, 3, 5, 8))):
        at = round(random.uniform(0.5, SECONDS), 3)
        if random.random() < 0.6:  # while something is going on
            busy = random.choice([step for step in schedule.steps if step["do"] == "add"])
            at = round(max(0.1, busy["at"] + random.choice((-0.01, -0.001, 0.001, random.uniform(-0.3, 1.5)))), 3)
        if random.random() < 0.7:
            schedule.steps.append(_fault_of_a_place(random, at, random.choice([*schedule.places, _USER])))
        else:
            has_node = any(place.kind == "node" for place in schedule.places)
            schedule.steps.append(_fault_of_the_server(random, at, schedule.queues, has_node=has_node))


def _fault_of_a_place(random: Random, at: float, place: Place) -> Step:
    kinds = ["cut", "hang", "refuse", "forget", "forget", "forget", "late", "slow", "reset", "reset"]
    if place is not _USER:
        kinds += ["kill", "kill", "kill", "stop", "stop", "drain", "drain"]
    do = random.choice([*kinds, "block"] if place.kind == "oxcart" else kinds)
    step: Step = {"at": at, "do": do, "who": place.name}
    seconds = random.choice((0.2, 1.0, 4.0, 12.0, 40.0))
    match do:
        case "kill":
            step |= {"silently": random.random() < 0.3, "back": random.choice((0.5, 5.0, 30.0))}
        case "drain":
            step |= {"back": random.choice((0.1, 5.0)), "jitter": random.choice((0.0, 0.0, 0.7))}
        case "stop" | "block" | "cut" | "hang" | "refuse":
            step["seconds"] = seconds
        case "forget":
            step |= {"seconds": random.choice((0.05, 0.3, 2.0, 10.0)), "share": random.choice((0.3, 0.5, 1.0))}
            if random.random() < 0.3:
                step["refused"] = random.choice((4.0, 40.0))  # what follows: nobody answers at all
        case "late":
            step |= {"seconds": random.choice((0.3, 2.0)), "late": random.choice((1.0, 6.0, 18.0, 25.0))}
        case "slow":
            step |= {
                "seconds": seconds,
                "delay": random.choice((0.025, 0.15, 0.7)),
                "jitter": random.choice((0.0, 0.3)),
            }
    return step


def _fault_of_the_server(random: Random, at: float, queues: list[str], *, has_node: bool) -> Step:
    kinds = ["restart", "restart", "empty", "rollback", "oom", "readonly", "scripts", "marker", "stall"]
    do = random.choice(kinds if has_node else [*kinds, "clobber"])  # a broken key makes Node's scripts lose jobs
    step: Step = {"at": at, "do": do}
    match do:
        case "restart" | "empty":
            step["seconds"] = random.choice((0.2, 2.0, 20.0))
        case "rollback":
            step |= {"seconds": random.choice((0.5, 3.0)), "lag": random.choice((0.05, 0.5, 2.0))}
        case "oom" | "readonly":
            step["seconds"] = random.choice((0.5, 4.0, 20.0))
        case "stall":
            step["seconds"] = random.choice((0.5, 3.0, 8.0))
        case "marker":
            step["queue"] = random.choice(queues)
        case "clobber":
            keys = ("marker", "events", "wait", "delayed")
            step |= {"queue": random.choice(queues), "key": random.choice(keys), "seconds": random.choice((1.0, 6.0))}
    return step
