"""procrastinate's connector with retries: a statement that fails in an outage is repeated until it succeeds.

procrastinate's own worker ends when a heartbeat or a fetch fails, and leaves a job `doing` under a live worker when it can't
store how the job ended.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any, LiteralString, TypeVar

from procrastinate import PsycopgConnector
from procrastinate.connector import LISTEN_TIMEOUT, Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.sql import queries
from procrastinate.worker import Worker

from signalops import db
from signalops.queue.retry import AT_ONCE
from signalops.queue.slots import Slots
from signalops.types import JsonObject

log = logging.getLogger(__name__)

Around = Callable[[], AbstractAsyncContextManager[None]]
Answer = TypeVar("Answer")
_MAX_PAUSE = 1.0
_ENDINGS = (queries["finish_job"], queries["retry_job"])
"""What finds a job ended (_ENDED): by its own transaction, or by the same query, whose first answer was lost."""
_ENDED = "P0001"
_DOING = "select id from procrastinate.procrastinate_jobs where worker_id = %(worker)s and status = 'doing'"


class Connector(PsycopgConnector):
    """procrastinate's connector on a pool of ours, which has autocommit and no check before each use: half the round trips."""

    def __init__(self, connections: db.Pool, around: Around, listening: str | None) -> None:
        super().__init__(pool_factory=lambda **_: connections)
        self._around = around()
        self._listening = listening
        self.workers: list[Worker] = []
        self.slots = Slots(self._wake, is_notified=listening is not None)
        self.ended: dict[int, int] = {}
        """Jobs that their own transaction has deleted, and how many events they processed; to finish them would be a commit."""

    async def open_async(self, pool: db.Pool | None = None) -> None:
        await self._around.__aenter__()
        await super().open_async(pool)

    async def close_async(self) -> None:
        # First, for what is left to be written when the last job has ended.
        await self._around.__aexit__(None, None, None)
        await super().close_async()

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        if query in _ENDINGS:
            events = self.ended.pop(arguments["job_id"], None)
            self.slots.end(arguments["job_id"], events or 0)
            if query == queries["finish_job"] and events is not None:
                return
        await self._answered(super().execute_query_async, query, arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> JsonObject:
        if query != queries["fetch_job"]:
            return await self._answered(super().execute_query_one_async, query, arguments)
        if all(worker.wait for worker in self.workers):  # --one-shot ends a worker when a fetch finds nothing
            arguments["queues"] = self.slots.without_full(arguments["queues"])
        if arguments["queues"] == []:
            return {"id": None}
        job: JsonObject = await self._answered(super().execute_query_one_async, query, arguments)
        if job["id"] is not None:
            self.slots.begin(job["id"], job["queue_name"])
        return job

    def _wake(self) -> None:
        for worker in self.workers:
            worker._new_job_event.set()

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[JsonObject]:
        return await self._answered(super().execute_query_all_async, query, arguments)

    async def _answered(self, ask: Callable[..., Awaitable[Answer]], query: LiteralString, arguments: JsonObject) -> Answer:
        """Ask until the database answers, or the worker is to end."""
        pause = 0.0
        while True:
            try:
                if pause and query == queries["fetch_job"]:
                    await self._give_back(arguments["worker_id"])
                return await ask(query, **arguments)
            except ConnectorException as error:
                if not isinstance(error.__cause__, db.OUTAGE):
                    if query in _ENDINGS and getattr(error.__cause__, "sqlstate", None) == _ENDED:
                        return None  # type: ignore[return-value]  # these have no answer
                    raise
                if self._is_ending:
                    raise
            if not pause:
                log.warning("The database does not answer: the worker asks again until it does.")
                await db.repair(self.pool)
            pause = min(pause * 2 or 0.1, _MAX_PAUSE)
            await asyncio.sleep(pause)

    @property
    def _is_ending(self) -> bool:
        # Before there is a worker nobody waits for an end by signal: the process may say at once what is wrong.
        return not self.workers or all(worker._stop_event.is_set() for worker in self.workers)

    async def _give_back(self, worker_id: int) -> None:
        """Requeue jobs that an earlier fetch took while its answer was lost; no fetch is running now."""
        running = {context.job.id for worker in self.workers for context in worker._running_jobs.values()}
        for row in await super().execute_query_all_async(_DOING, worker=worker_id):
            if row["id"] not in running:
                await super().execute_query_async(
                    queries["retry_job"],
                    job_id=row["id"],
                    retry_at=AT_ONCE,
                    new_priority=None,
                    new_queue_name=None,
                    new_lock=None,
                )

    @asynccontextmanager
    async def _get_standalone_connection(self) -> AsyncIterator[db.Connection]:
        """Open the connection that listens for jobs: past the pooler, where there is one."""
        assert self._listening is not None
        async with db.dedicated(self._listening) as connection:
            yield connection

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Forward notifications until cancelled, reconnecting when needed; without a connection the worker polls."""
        while True:
            with suppress(ConnectorException, *db.OUTAGE):
                await super().listen_notify(on_notification, channels)
            await asyncio.sleep(_MAX_PAUSE)

    async def _loop_notify(
        self,
        on_notification: Notify,
        connection: db.Connection,
        timeout: float = LISTEN_TIMEOUT,  # noqa: ASYNC109  as in procrastinate
    ) -> None:
        """Pass notifications on until cancelled, or until the connection is lost.

        procrastinate's own waits by asyncio.wait_for, which in Python 3.11 loses a cancellation that arrives together with a
        notification: under load a worker took seconds to end on SIGTERM, or never ended.
        """
        with suppress(*db.OUTAGE):
            while True:
                async with aclosing(connection.notifies(timeout=min(timeout, db.SILENCE))) as notifications:
                    async for notification in notifications:
                        self.slots.notify()
                        await on_notification(channel=notification.channel, payload=notification.payload)
                await connection.execute("select 1")  # fails where a dead connection is not noticed otherwise
