"""Does a cursor ever hide a job of ours? Histories in which what it knows comes to lie elsewhere, and nobody looks."""

from __future__ import annotations

from .queue_of_ours import OurQueue
from .test_names import Looker, add_foreign


def run_elsewhere(queue: OurQueue, *job_ids: str) -> None:
    """Another worker runs them all, removes them, and finds nothing more."""
    for job_id in job_ids:
        queue.server.lrem(queue.keys.wait, 1, job_id)
        queue.server.zrem(queue.keys.prioritized, job_id)
        queue.server.delete(queue.keys.job(job_id))
    if not queue.server.exists(queue.keys.prioritized):
        queue.server.delete(queue.keys.pc)


def test_an_urgent_job_whose_id_and_place_come_again_hides_nothing(queue: OurQueue) -> None:
    """Each minute the same batch, with ids of its own; our worker has no room while the second one comes."""
    queue.add("mine", priority=1)
    queue.add("theirs", name="foreign", priority=1)
    looker = Looker(queue)
    assert looker.look() == ["mine"]

    run_elsewhere(queue, "theirs")
    queue.now_ms += 60_000
    queue.add("mine again", priority=1)
    queue.add("theirs", name="foreign", priority=1)
    assert looker.look() == ["mine again"]


def test_a_waiting_job_that_is_added_again_as_far_back_hides_nothing(queue: OurQueue) -> None:
    add_foreign(queue, 5)
    looker = Looker(queue)
    looker.look()

    run_elsewhere(queue, "f3", "f4")
    queue.now_ms += 60_000
    queue.add("mine")
    queue.add("f4", name="foreign")
    assert looker.look() == ["mine"]
