"""The answer of `litz status` for people: all dests of a node in a line each, or one dest with all there is to it.

Made for 80 columns. The answers may come from nodes of another version, so what may be missing is asked for with care.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from litz.event_words import messages, printable, span
from outproc.cli.dest_words import clock_text, standing, times_text
from outproc.cli.passage_tables import show_passages
from outproc.cli.status_tables import console_for_tables, lane_text, print_columns, size_text, time_text

LATELY: Final = 8
"""Entries of the history of the node, and of dests that are gone, which the overview shows."""

Json = dict[str, Any]


def show_overview(nodes: Sequence[Json], console: Console | None = None) -> None:
    """Print every node, its dests, its durable messages and its news. Ids and errors come from peers, so nothing in
    them is markup."""
    console = console or console_for_tables()
    for index, node in enumerate(nodes):
        if index:
            console.print()
        _node(console, node)
        streams = any(dest.get("streams") for dest in node["dests"])
        columns = ("dest", "state", "by", ">trip", ">waiting", *streams * (">streams",), "why, and what next")
        print_columns(console, "", columns, (_dest_line(dest, streams=streams) for dest in node["dests"]))
        _departed(console, node.get("departed", ()))
        show_passages(console, node.get("exposed", ()), node.get("forwards", ()))
        _durable(console, node, None)
        _history(console, "lately", node.get("history", ())[-LATELY:], named=True)


def show_detail(nodes: Sequence[Json], dest: str, console: Console | None = None) -> bool:
    """Print all there is to tell of one dest; whether there was anything."""
    console = console or console_for_tables()
    found = False
    for node in nodes:
        here = [each for each in node["dests"] if each["dest"] == dest]
        departed = [each for each in node.get("departed", ()) if each["dest"] == dest]
        history = [entry for entry in node.get("history", ()) if entry["dest"] == dest]
        if not (here or departed or history):
            continue
        found = True
        _node(console, node)
        _departed(console, departed)
        for each in here:
            _detail(console, each)
        show_passages(console, (), [each for each in node.get("forwards", ()) if each["dest"] == dest])
        _durable(console, node, dest)
        _history(console, "history", [*history, *(entry for each in here for entry in each.get("history", ()))])
    return found


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=not console.is_terminal)


def _node(console: Console, node: Json) -> None:
    draining = ", [yellow]leaving: takes nothing new[/yellow]" if node.get("draining") else ""
    _say(
        console,
        f"node [bold]{escape(node['local_id'])}[/bold]{draining}, listening at "
        f"{escape(', '.join(node['endpoints'])) or 'nothing'}; {size_text(node['logged_bytes'])} in logs, "
        f"{size_text(node['inbox_bytes'])} in the inbox",
    )


def _standing(dest: Json) -> str:
    names = ("cause", "retry_in", "cold", "given_up", "draining")
    return standing(**{name: dest[name] for name in names if name in dest})


def _dest_line(dest: Json, *, streams: bool) -> Sequence[object]:
    trips = [wire["round_trip"] for wire in dest["wires"] if wire["round_trip"] is not None]
    return (
        dest["dest"],
        dest["state"],
        ", ".join(dict.fromkeys(wire["kind"] for wire in dest["wires"])) or "-",
        time_text(min(trips, default=None)),
        sum(lane["logged"] for lane in dest["lanes"]),
        *streams * ((dest.get("streams") or {"count": 0})["count"],),
        _standing(dest),
    )


def _departed(console: Console, departed: Iterable[Json]) -> None:
    for each in departed:
        back = each["returning_in"]
        when = "" if back is None else "; it means to be back now" if back <= 0 else f"; back in {span(back)}"
        why = f" ({printable(each['reason'])})" if each["reason"] else ""
        _say(console, escape(f"{each['dest']} said goodbye {span(each['age'])} ago{why}{when}"))


def _durable(console: Console, node: Json, only: str | None) -> None:
    outbox, inbox = node.get("outbox"), node.get("inbox")
    if outbox is not None:
        if only is None:
            oldest = "" if outbox["oldest_age"] is None else f", the oldest for {span(outbox['oldest_age'])}"
            _say(
                console,
                f"[bold]outbox[/bold]: {messages(outbox['waiting'])} ({size_text(outbox['waiting_bytes'])}) to be "
                f"confirmed{oldest}; {outbox['dead']} dead letters{_error(outbox)}",
            )
        rows = [
            (
                each["dest"],
                each["waiting"],
                each["state"],
                "-" if each["next_attempt"] is None else span(each["next_attempt"]),
                each["last_error"],
            )
            for each in outbox["dests"]
            if only in (None, each["dest"])
        ]
        title = "" if only is None else "outbox"
        print_columns(console, title, ("durable for", ">waiting", "state", ">next try", "error"), rows)
    if inbox is not None and only is None:
        _say(
            console,
            f"[bold]inbox[/bold]: {messages(inbox['waiting'])} not committed; {inbox['duplicates']} came again and "
            f"were dropped; {inbox['producers']} outboxes heard{_error(inbox)}",
        )


def _error(store: Json) -> str:
    return f"; [red]{escape(printable(store['last_error']))}[/red]" if store["last_error"] else ""


def _detail(console: Console, dest: Json) -> None:
    said = _standing(dest)
    _say(
        console,
        f"[bold]{escape(dest['dest'])}[/bold]: {dest['state']}{': ' if said else ''}{escape(said)}\n"
        f"session {dest['session']}, its id is {'proved' if dest['verified'] else 'a claim'}; {dest['heals']} heals, "
        f"{messages(dest['replayed'])} sent again over another wire, {dest['duplicates_dropped']} doubles dropped",
    )
    print_columns(
        console,
        "wires",
        ("kind", "route", "state", ">trip", ">rate", ">in", ">out", ">age", "dialled by"),
        (_wire(wire) for wire in dest["wires"]),
    )
    print_columns(
        console,
        "addresses",
        ("kind", "from - to"),
        ((wire["kind"], f"{wire['local']} - {wire['remote']}") for wire in dest["wires"]),
    )
    print_columns(
        console,
        "endpoints",
        ("endpoint", "state", ">dials", ">failed", ">next in", "error"),
        (_slot(slot) for slot in dest["slots"]),
    )
    lanes = sorted(dest["lanes"], key=lambda lane: int(lane["lane"]))
    print_columns(
        console,
        "lanes out",
        ("lane", ">sent", ">acked", ">processed", ">in log", ">dropped"),
        (
            (lane_text(each["lane"]), *(each[name] for name in ("sent", "acked", "processed", "logged", "dropped")))
            for each in lanes
            if each["sent"]
        ),
    )
    print_columns(
        console,
        "lanes in",
        ("lane", ">received", ">delivered", ">in inbox"),
        (
            (lane_text(each["lane"]), each["received"], each["delivered"], each["inbox"])
            for each in lanes
            if each["received"]
        ),
    )
    _streams(console, dest)
    kinds = {wire["wire"]: wire["kind"] for wire in dest["wires"]}
    print_columns(
        console,
        "which wire carries what",
        ("lane", "wire", "why"),
        (
            (
                lane_text(each["lane"]),
                kinds.get(each["wire"], "-") + (", urgent" if each["urgent"] else ""),
                each["reason"],
            )
            for each in lanes
            if each["wire"]
        ),
    )


def _streams(console: Console, dest: Json) -> None:
    streams = dest.get("streams")
    if streams is None:
        return
    _say(
        console,
        f"[bold]streams[/bold]: {streams['count']}; {streams['opened']} opened, {streams['accepted']} accepted, "
        f"refused there {streams['refused_there']}, here {streams['refused_here']}; "
        f"{streams['aborted']} aborted, {streams['evicted']} evicted, {streams['lost']} lost",
    )
    print_columns(
        console,
        "",
        ("stream", "service", "state", ">in", ">out", ">queued", ">unread"),
        (
            (
                each["number"],
                each["service"],
                each["state"] + ("" if each["attached"] else ", unused"),
                *(size_text(each[name]) for name in ("bytes_in", "bytes_out", "queued", "unread")),
            )
            for each in streams["rows"]
        ),
    )


def _wire(wire: Json) -> Sequence[object]:
    return (
        wire["kind"],
        wire["route"],
        wire["state"],
        time_text(wire["round_trip"]),
        "-" if wire["throughput"] is None else f"{size_text(wire['throughput'])}/s",
        size_text(wire["bytes_in"]),
        size_text(wire["bytes_out"]),
        span(wire["age"]),
        "us" if wire["dialled"] else "them",
    )


def _slot(slot: Json) -> Sequence[object]:
    again = "-" if slot["retry_in"] is None else span(slot["retry_in"])
    return slot["endpoint"], slot["state"], slot["dials"], slot["failures"], again, slot["last_error"]


def _history(console: Console, title: str, history: Iterable[Json], *, named: bool = False) -> None:
    now = time.time()
    rows = []
    for entry in history:
        often = times_text(entry["times"], entry["at"], entry["until"])
        what = f"{entry['what']}: {entry['cause']}" if entry["cause"] else entry["what"]
        row = (clock_text(entry["until"], now), "; ".join(filter(None, (what, often))))
        rows.append((row[0], entry["dest"], row[1]) if named else row)
    print_columns(console, title, ("when", "dest", "what") if named else ("when", "what"), rows)
