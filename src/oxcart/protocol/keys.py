"""Which Redis keys does a queue use? BullMQ's names, versions 5 and 6 alike."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from oxcart.errors import InvalidInput
from oxcart.language import tr

HISTORY_HOURS = 26
"""Our history of an hour is kept for so long."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """Every key of one queue. `base` is the prefix of all of them, with its colon: `bull:crm:`.

    A prefix in braces (`{bull}`) keeps a queue in one slot of a cluster.
    """

    name: str
    prefix: str = "bull"
    base: str = field(init=False)
    wait: str = field(init=False)
    active: str = field(init=False)
    paused: str = field(init=False)
    meta: str = field(init=False)
    id: str = field(init=False)
    completed: str = field(init=False)
    failed: str = field(init=False)
    delayed: str = field(init=False)
    prioritized: str = field(init=False)
    waiting_children: str = field(init=False)
    events: str = field(init=False)
    marker: str = field(init=False)
    stalled: str = field(init=False)
    stalled_check: str = field(init=False)
    limiter: str = field(init=False)
    pc: str = field(init=False)
    repeat: str = field(init=False)

    def __post_init__(self) -> None:
        check_queue_name(self.name)
        if not self.prefix:
            raise InvalidInput(
                tr('The prefix of queue "{name}" is empty; leave it out to get BullMQ\'s own, "bull".', name=self.name)
            )
        base = f"{self.prefix}:{self.name}:"
        object.__setattr__(self, "base", base)
        for attribute in _ATTRIBUTES:
            object.__setattr__(self, attribute, base + attribute.replace("_", "-"))

    @property
    def qualified_name(self) -> str:
        """The queue as other queues refer to it, in `parent` and flows: `bull:crm`."""
        return self.base[:-1]

    @property
    def cancellations(self) -> str:
        """Ours: a set of the ids that someone asked to cancel, for the next renewal of their locks."""
        return self.base + "oxcart:cancel"

    def cancellation(self, job_id: str) -> str:
        """Ours: how and why one of those is to be cancelled, if anything was said of it."""
        return f"{self.cancellations}:{job_id}"

    @property
    def unhandled(self) -> str:
        """Ours: a hash of the job names that have waited for long without a handler (queue/unhandled.py)."""
        return self.base + "oxcart:unhandled"

    @property
    def forms(self) -> str:
        """Ours: a hash of job names, with the JSON schema of their data (queue/forms.py)."""
        return self.base + "oxcart:forms"

    def history(self, hour: int) -> str:
        """Ours: a hash of what workers have done in one hour since 1970 (board/history.py)."""
        return f"{self.base}oxcart:history:{hour}"

    @property
    def deploy(self) -> str:
        """Ours: which release began to serve this queue last (queue/overview.py)."""
        return self.base + "oxcart:deploy"

    @property
    def audit(self) -> str:
        """Ours: a stream of what operators did to many jobs at once (queue/search.py)."""
        return self.base + "oxcart:audit"

    @property
    def of_next_job(self) -> tuple[str, ...]:
        """What BullMQ's scripts that add a schedule's next job begin with, in their order."""
        places = (self.repeat, self.delayed, self.wait, self.paused, self.meta, self.prioritized)
        return (*places, self.marker, self.id, self.events, self.pc)

    def job(self, job_id: str) -> str:
        return self.base + job_id

    def lock(self, job_id: str) -> str:
        return f"{self.base}{job_id}:lock"

    def logs(self, job_id: str) -> str:
        return f"{self.base}{job_id}:logs"

    def dependencies(self, job_id: str) -> str:
        return f"{self.base}{job_id}:dependencies"

    def processed(self, job_id: str) -> str:
        return f"{self.base}{job_id}:processed"

    def failed_children(self, job_id: str) -> str:
        return f"{self.base}{job_id}:failed"

    def unsuccessful(self, job_id: str) -> str:
        return f"{self.base}{job_id}:unsuccessful"

    def deduplication(self, deduplication_id: str) -> str:
        return f"{self.base}de:{deduplication_id}"

    def scheduler(self, scheduler_id: str) -> str:
        return f"{self.repeat}:{scheduler_id}"

    def metrics(self, target: str) -> str:
        """`target` is completed or failed."""
        return f"{self.base}metrics:{target}"

    def state(self, state: str) -> str:
        """The list or set behind a state as BullMQ spells it; `waiting` is the list `wait`."""
        return self.base + ("wait" if state == "waiting" else state)


_ATTRIBUTES = tuple(name for name in QueueKeys.__slots__ if name not in {"name", "prefix", "base"})

OWN_NAMES = frozenset(attribute.replace("_", "-") for attribute in _ATTRIBUTES)
"""What follows `base` in the keys of a queue itself: a job of such an id would take a key from it."""

LIKE_OTHER_KEYS = re.compile(
    rf"(?:{'|'.join(OWN_NAMES)}"
    r"|(?:de|dn|metrics|oxcart):.*|.*:(?:lock|logs|dependencies|processed|failed|unsuccessful))",
    re.DOTALL,
)
"""Ids that we let nobody give. BullMQ does: whether a key is a job's is told by its content, never by this."""


def check_queue_name(name: str) -> None:
    """Raises InvalidInput for a name that BullMQ refuses too: a colon would mix up two queues' keys."""
    if not isinstance(name, str) or not name:
        raise InvalidInput(tr("A queue needs a name: a string that is not empty."))
    if ":" in name:
        raise InvalidInput(
            tr('The queue name "{name}" contains ":", which separates the parts of a key; use "-" or "_".', name=name)
        )
