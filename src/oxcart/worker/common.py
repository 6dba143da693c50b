"""What do the parts of one worker share?"""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.handlers import Handlers
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.worker.dispatch import Dispatch
from oxcart.worker.left import LeftJobs
from oxcart.worker.listeners import Listeners


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """`link` carries what is no exchange and no wait. `worker_id` begins the tokens of this worker's claims; by
    `worker_name` people and other workers know it.
    """

    server: Server
    link: Link
    handlers: Handlers
    settings: WorkerSettings
    dispatch: Dispatch
    left: LeftJobs
    listeners: Listeners
    emit: Emit
    worker_id: str
    worker_name: str
