"""How many requests a server takes on, and of whom."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pe_audio_cli.server.lobby import Lobby
from pe_audio_cli.server.refusals import Refusal


def test_of_more_requests_than_there_are_places_the_last_are_told_when_to_come_back() -> None:
    lobby = Lobby(4, active=2)
    with contextlib.ExitStack() as taken:
        for client in "abab":
            taken.enter_context(lobby.place(client))
        with pytest.raises(Refusal) as refused, lobby.place("c"):
            pass
        assert refused.value.status == 503 and int(refused.value.headers["retry-after"]) >= 1
    with lobby.place("c"):
        assert lobby.n_present == 1
    assert lobby.n_present == 0


def test_one_client_leaves_places_to_others() -> None:
    lobby = Lobby(4, active=2)
    with contextlib.ExitStack() as taken:
        for _ in range(3):
            taken.enter_context(lobby.place("a"))
        with pytest.raises(Refusal), lobby.place("a"):
            pass
        taken.enter_context(lobby.place("b"))


def test_a_few_requests_of_one_client_are_worked_on_at_once() -> None:
    async def main() -> list[str]:
        lobby, log = Lobby(10, active=2), []

        async def work(name: str, client: str) -> None:
            await lobby.enter(client)
            log.append(f"{name} in")
            await asyncio.sleep(0.01)
            log.append(f"{name} out")
            lobby.leave(client)

        waiting = asyncio.ensure_future(lobby.enter("a"))
        await waiting
        gone = [asyncio.ensure_future(work(name, "a")) for name in ("a1", "a2", "a3")]
        await asyncio.sleep(0)
        gone[1].cancel()  # it waits
        await asyncio.gather(*gone, work("b1", "b"), return_exceptions=True)
        lobby.leave("a")
        await asyncio.wait_for(work("a4", "a"), 5)
        return log

    log = asyncio.run(main())
    assert log.index("a1 out") < log.index("a3 in") and "a2 in" not in log and log[-1] == "a4 out"
    assert log.index("b1 in") < log.index("a1 out")
