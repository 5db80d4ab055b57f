"""Which of the server's rows belongs to which environment of which actor."""

import time
from dataclasses import dataclass, field

import numpy as np

from policy.errors import OcelotError


class SlotError(OcelotError):
    """More environments than slots, or a request that does not fit to what its slots hold."""


@dataclass
class _Tenant:
    run_id: int
    seen: float
    rows: dict[int, int] = field(default_factory=dict)  # the actor's own number -> row


class SlotTable:
    """Leases rows [0, slots) to (actor, the actor's own slot number).

    Args:
        slots: how many rows there are.
        idle: seconds after which an unseen actor's rows may be taken, once no row is free.
    """

    def __init__(self, slots: int, idle: float = 60.0):
        self.slots = slots
        self.idle = idle
        self._free = np.ones(slots, dtype=bool)
        self._tenants: dict[str, _Tenant] = {}

    def lease(
        self, actor: str, run_id: int, slots: np.ndarray, now: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of an actor's slots, leased now where they were not yet.

        An actor with a new run id was restarted: what it held before is given back first.

        Args:
            actor, run_id, slots: as in `policy.types.ActRequest`.
            now: monotonic seconds; the clock's own by default.

        Returns:
            rows int64 [n], and bool [n]: leased just now, so that nothing of their episodes is known.

        Raises:
            SlotError: when there are not enough rows.
        """
        now = time.monotonic() if now is None else now
        tenant = self._tenants.get(actor)
        if tenant is not None and tenant.run_id != run_id:
            self.release(actor)
            tenant = None
        if tenant is None:
            tenant = self._tenants[actor] = _Tenant(run_id, now)
        tenant.seen = now
        wanted = slots.tolist()
        fresh = np.array([slot not in tenant.rows for slot in wanted], dtype=bool)
        if fresh.any():
            missing = [slot for slot in dict.fromkeys(wanted) if slot not in tenant.rows]
            tenant.rows.update(zip(missing, self._take(actor, len(missing), now), strict=True))
        return np.array([tenant.rows[slot] for slot in wanted], dtype=np.int64), fresh

    def release(self, actor: str) -> None:
        """Gives an actor's rows back."""
        tenant = self._tenants.pop(actor)
        self._free[list(tenant.rows.values())] = True

    def known(self, within: float, now: float | None = None) -> int:
        """How many rows belong to actors that were seen in the last `within` seconds."""
        now = time.monotonic() if now is None else now
        return sum(len(tenant.rows) for tenant in list(self._tenants.values()) if now - tenant.seen <= within)

    def seen(self, within: float) -> np.ndarray:
        """bool [slots]: rows of actors that were seen in the last `within` seconds."""
        now, found = time.monotonic(), np.zeros(self.slots, dtype=bool)
        for tenant in self._tenants.values():
            found[list(tenant.rows.values())] = now - tenant.seen <= within
        return found

    def _take(self, actor: str, count: int, now: float) -> list[int]:
        if self._free.sum() < count:
            idle = sorted((t.seen, name) for name, t in self._tenants.items() if now - t.seen > self.idle)
            for _, name in idle:
                if self._free.sum() >= count:
                    break
                self.release(name)
        free = np.flatnonzero(self._free)
        if len(free) < count:
            if not self._tenants[actor].rows:
                del self._tenants[actor]
            raise SlotError(
                f"actor '{actor}' needs {count} more slots, but {len(free)} of the policy server's {self.slots} "
                f"are free; raise the server's slots to at least {self.slots - len(free) + count}, "
                "or run fewer environments"
            )
        # Neighbours if there are any: rows that lie together are read from the cache without a copy.
        together = np.flatnonzero(free[count - 1 :] - free[: len(free) - count + 1] == count - 1)
        first = int(together[0]) if len(together) else 0
        rows = free[first : first + count]
        self._free[rows] = False
        return rows.tolist()
