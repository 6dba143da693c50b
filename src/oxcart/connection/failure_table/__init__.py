"""Which failures of a Redis connection do we know? THE table: a new failure is one row in network.py or server.py.

Source: the providers' troubleshooting pages, the server's own texts, and recorded exceptions (docs/doctor.md).
"""

from __future__ import annotations

from oxcart.connection.failure_table.network import NETWORK_ROWS
from oxcart.connection.failure_table.row import Row
from oxcart.connection.failure_table.server import SERVER_ROWS

__all__ = ["ROWS", "Row"]

# In the order in which texts are tried: what is more special stands first. UNKNOWN is last and recognises nothing.
ROWS: tuple[Row, ...] = (*SERVER_ROWS[:-1], *NETWORK_ROWS, SERVER_ROWS[-1])
