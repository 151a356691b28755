"""What changes while a server runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class ServerState:
    """When the server began, whether it looks after its stores by itself, and whether it is leaving."""

    start_time_ns: int = field(default_factory=time.time_ns)
    maintaining: bool = False
    draining: bool = False
