"""Mutants of episodes between nodes: the subscriber, the publisher, and the buffer under them."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

CORE = "litz.episodes.core"
MESSAGES = "litz.episode_messages"
PARTS = "litz.episodes.episode"
PUBLISHER = "litz.episode_publisher"
READERS = "litz.episodes.readers"
RETRYING = "litz.episode_retrying"
SUBSCRIBER = "litz.episode_subscriber"
EPISODES = "tests.simulation.episodes.run:run_seed"

ORDER = Edit(SUBSCRIBER, "        if first[0] != self._received + 1:\n", "        if False:\n")
FROM_THE_START = Edit(
    SUBSCRIBER, "Request(self._request.key, self._received,", "Request(self._request.key, self._request.after,"
)

EPISODE_MUTANTS = (
    Mutant("subscribes-again-from-the-start", "P1", (FROM_THE_START,), ("why",), EPISODES),
    Mutant("parts-that-came-before-are-handed-out-again", "P1", (FROM_THE_START, ORDER), ("once",), EPISODES),
    Mutant(
        "cursor-of-what-was-taken-ahead",
        "P1",
        (
            Edit(
                SUBSCRIBER,
                "        return self._received - length_hint(self._iterator)\n",
                "        return self._received\n",
            ),
        ),
        ("once",),
        EPISODES,
    ),
    Mutant(
        "a-cancelled-step-loses-its-parts",
        "P1",
        (
            Edit(
                SUBSCRIBER,
                "        self._check_order(items)\n",
                "        self._check_order(items)\n        import asyncio\n        await asyncio.sleep(0.05)\n",
            ),
        ),
        ("once",),
        EPISODES,
    ),
    Mutant(
        "every-end-taken-for-complete",
        "P2",
        (Edit(SUBSCRIBER, "                    if self._end.complete:\n", "                    if self._end:\n"),),
        ("typed",),
        EPISODES,
    ),
    Mutant(
        "the-end-is-not-told",
        "P2",
        (Edit(PUBLISHER, "            await self._tell_end(stream, end)\n", ""),),
        ("arrives", "calm"),
        EPISODES,
    ),
    Mutant(
        "a-lost-stream-is-the-end",
        "P6",
        (
            Edit(
                SUBSCRIBER,
                "    StreamRefusedError,\n    StreamAbortedError,\n    Session",
                "    StreamRefusedError,\n    Session",
            ),
        ),
        ("typed-errors",),
        EPISODES,
    ),
    Mutant(
        "a-publisher-that-said-goodbye-is-never-asked-again",
        "P6",
        (Edit(SUBSCRIBER, "            reopen=self._closed_there,\n", ""),),
        ("arrives",),
        EPISODES,
    ),
    Mutant(
        "asks-again-without-backoff",
        "P5",
        (Edit(RETRYING, "        self._not_before = now + wait\n", ""),),
        ("calm",),
        EPISODES,
    ),
    Mutant(
        "readers-outlive-their-subscribers",
        "P5",
        (Edit(PUBLISHER, "StreamOptions(fail_fast=True, ", "StreamOptions("),),
        ("left",),
        EPISODES,
    ),
    Mutant(
        "one-role-for-all",
        "P1",
        (
            Edit(
                MESSAGES,
                "        Part(first + number, _plain(data), roles[index])\n",
                "        Part(first + number, _plain(data), roles[0])\n",
            ),
        ),
        ("true",),
        EPISODES,
    ),
    Mutant(
        "who-came-early-is-forgotten-at-the-creation",
        "P2",
        (
            Edit(
                READERS,
                "                self._attach(now, reader, episode)\n                episode.waiting[reader] = None\n",
                "                self._attach(now, reader, episode)\n",
            ),
        ),
        ("arrives",),
        EPISODES,
    ),
    Mutant(
        "who-waits-for-an-older-attempt-waits-for-ever",
        "P2",
        (Edit(CORE, "            self._end_early(early, superseded)\n", "            pass\n"),),
        ("arrives",),
        EPISODES,
    ),
    Mutant(
        "skips-without-a-word",
        "P2",
        (
            Edit(
                READERS,
                "                reader.skip_to(cursor, Gap(reader.cursor + 1, cursor, Why.SLOW))\n",
                "                reader.cursor = cursor\n",
            ),
        ),
        ("why",),
        EPISODES,
    ),
    Mutant(
        "a-part-wakes-only-the-first-that-waits",
        "P2",
        (Edit(PARTS, "                reader.wake()\n", "                reader.wake()\n                break\n"),),
        ("arrives",),
        EPISODES,
    ),
)
