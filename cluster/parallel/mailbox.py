"""What the driver wants of training workers, and what they answer."""

import asyncio
from typing import Any


class Mailbox:
    """Made for Ray: orders are numbered from 0 on, every worker carries out each, and the first worker answers.

    A worker that waits for an order, and a driver that waits for an answer, wait in here.
    """

    def __init__(self) -> None:
        self._orders: list[tuple[str, tuple[Any, ...]] | None] = []
        self._answers: dict[int, Any] = {}
        self._error: BaseException | None = None
        self._changed = asyncio.Condition()
        self._stop = asyncio.Event()

    async def ask(self, order: tuple[str, tuple[Any, ...]] | None) -> Any:
        """Waits until an order is carried out. None ends the workers, and is not waited for.

        Args:
            order: name of a method and its arguments.

        Raises:
            BaseException: what a worker raised.
        """
        async with self._changed:
            number = len(self._orders)
            self._orders.append(order)
            self._changed.notify_all()
            if order is None:
                return None
            await self._changed.wait_for(lambda: number in self._answers or self._error is not None)
            if self._error is not None:
                raise self._error
            return self._answers.pop(number)

    async def order(self, number: int) -> tuple[str, tuple[Any, ...]] | None:
        """Waits for an order."""
        async with self._changed:
            await self._changed.wait_for(lambda: number < len(self._orders))
            return self._orders[number]

    async def answer(self, number: int, answer: Any) -> None:
        """An order was carried out."""
        async with self._changed:
            self._answers[number] = answer
            self._changed.notify_all()

    async def fail(self, error: BaseException) -> None:
        """A worker has raised; the first one to tell is the cause of what the others may raise."""
        async with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    async def stop(self) -> None:
        """Asks the workers to stop what they do before its end."""
        self._stop.set()

    async def stopping(self) -> None:
        """Waits until the workers are asked to stop."""
        await self._stop.wait()
