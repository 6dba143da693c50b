"""Which methods and options does BullMQ for Node have? Read from the type declarations of the installed package."""

from __future__ import annotations

import re
from pathlib import Path

CLASSES = {
    "Queue": ("classes/queue-getters.d.ts", "classes/queue.d.ts"),
    "Worker": ("classes/worker.d.ts",),
    "Job": ("classes/job.d.ts",),
    "FlowProducer": ("classes/flow-producer.d.ts",),
    "QueueEvents": ("classes/queue-events.d.ts",),
    "JobScheduler": ("classes/job-scheduler.d.ts",),
}
OPTIONS = {
    "QueueOptions": ("interfaces/queue-options.d.ts",),
    "WorkerOptions": ("interfaces/worker-options.d.ts",),
    "JobsOptions": ("interfaces/base-job-options.d.ts", "types/job-options.d.ts"),
    "RepeatOptions": ("interfaces/repeat-options.d.ts",),
    "DeduplicationOptions": ("types/deduplication-options.d.ts",),
    "KeepJobs": ("types/keep-jobs.d.ts",),
    "BackoffOptions": ("interfaces/backoff-options.d.ts",),
    "AdvancedOptions": ("interfaces/advanced-options.d.ts",),
}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_MEMBER = re.compile(r"^    (?:readonly |static |get |set |async )*([a-z]\w*)\??(?=[(:<])", re.MULTILINE)
_HIDDEN = re.compile(r"^    (?:private|protected) .*$", re.MULTILINE)
_INTERNAL = re.compile(r"/\*(?:(?!\*/).)*@(?:private|internal|hidden)\b(?:(?!\*/).)*\*/\s*\n[^\n]*", re.DOTALL)
_NODE_ONLY = frozenset({"constructor", "emit", "off", "on", "once", "addListener", "removeListener"})


def members(folder: Path) -> dict[str, set[str]]:
    """`Queue.add`, … by class or interface: what is neither private, protected nor marked as internal."""
    root = folder / "node_modules" / "bullmq" / "dist" / "esm"
    return {
        owner: {name for path in paths for name in _of((root / path).read_text(encoding="utf-8"))} - _NODE_ONLY
        for owner, paths in (CLASSES | OPTIONS).items()
    }


def _of(text: str) -> set[str]:
    text = _HIDDEN.sub("", _COMMENT.sub("", _INTERNAL.sub("", text)))
    return set(_MEMBER.findall(text[text.index("declare class") :] if "declare class" in text else text))
