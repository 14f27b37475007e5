"""The plots of a report.  Pure: a report to SVG, in colours that the page's style sheet sets for light and dark.

A host has the same colour in every plot.  The colours are Okabe and Ito's, which colour-blind people tell apart; what
they say is in the page's tables as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from components.drill.report import Report
from components.drill.svg import Scale, decades, element, points, text, ticks

_WIDTH = 960
_LEFT, _RIGHT = 60, 950
_TOP = 24
COLOURS = 8
"""How many the style sheet has; with more hosts they are used again."""


def colours(report: Report) -> dict[str, str]:
    """Per host the class that colours it."""
    hosts = {host for second in report.timeline for of_model in second.answered.values() for host in of_model}
    hosts |= {share.host for share in report.shares}
    return {host: f"c{number % COLOURS}" for number, host in enumerate(sorted(hosts))}


def legend(hosts: Mapping[str, str]) -> str:
    """Which colour is which host."""
    return element(
        "p",
        *(
            element("span", element("i", " ", class_=f"key {colour}"), text(host), class_="legend")
            for host, colour in hosts.items()
        ),
    )


def traffic(report: Report, model: str, hosts: Mapping[str, str]) -> str:
    """Answers a second of one model, by host, one on the other."""
    seconds = report.timeline
    counts = [second.answered.get(model, {}) for second in seconds]
    bottom = 190
    labels = ticks(max((sum(each.values()) for each in counts), default=1) or 1)
    across, up = _time(report), Scale(0, labels[-1], bottom, _TOP)
    areas: list[str] = []
    floor = [0.0] * len(seconds)
    for host, colour in hosts.items():
        top = [low + each.get(host, 0) for low, each in zip(floor, counts, strict=True)]
        if top != floor:
            edge = list(_stairs(report, top, across, up)) + list(_stairs(report, floor, across, up))[::-1]
            areas.append(element("polygon", points=points(edge), class_=f"area {colour}"))
        floor = top
    return _plot(bottom + 30, f"Answers a second of {model}, by host", [
        *_bands(report, across, bottom), *areas, *_rows(labels, up, "{:g}".format), *_seconds(report, across, bottom),
    ])  # fmt: skip


def waits(report: Report) -> str:
    """Until an answer began: half of the requests and 99 % of them, second by second, on a logarithmic scale."""
    seconds = [second for second in report.timeline if second.half and second.most]
    if not seconds:
        return ""
    labels = decades(min(second.half or 1 for second in seconds), max(second.most or 1 for second in seconds))
    bottom = 190
    across, up = _time(report), Scale(labels[0], labels[-1], bottom, _TOP, logarithmic=True)
    lines = [
        element("polyline", points=points([(across(at + 0.5), up(value)) for at, value in values]), class_=style)
        for style, values in (
            ("line most", [(second.at, second.most or 0.0) for second in seconds]),
            ("line half", [(second.at, second.half or 0.0) for second in seconds]),
        )
    ]
    lost = [
        element("circle", cx=across(second.at + 0.5), cy=_TOP + 6, r=4, class_="lost")
        for second in report.timeline
        if second.lost
    ]
    return _plot(bottom + 30, "Time until an answer began: p50 and p99", [
        *_bands(report, across, bottom), *_rows(labels, up, lambda value: f"{value:g} ms"), *lines, *lost,
        *_seconds(report, across, bottom),
    ])  # fmt: skip


def share_errors(report: Report, hosts: Mapping[str, str]) -> str:
    """Declared and observed shares with their bounds, a line for each host."""
    left, row = 430, 17
    across = Scale(0, 100, left, _RIGHT)
    height = _TOP + row * len(report.shares) + 30
    bottom = height - 26
    marks: list[str] = []
    before = ("", "")
    for number, of_host in enumerate(report.shares):
        y, share = _TOP + row * (number + 0.5), of_host.share
        if (of_host.title, of_host.model) != before:
            marks.append(_label(f"{of_host.title}, {of_host.model}", 0, y + 4))
            before = (of_host.title, of_host.model)
        marks += [
            _label(of_host.host, left - 10, y + 4, anchor="end"),
            element(
                "line", x1=across(share.low), x2=across(share.high), y1=y, y2=y, class_=f"bound {hosts[of_host.host]}"
            ),
            element(
                "line", x1=across(share.declared), x2=across(share.declared), y1=y - 6, y2=y + 6, class_="declared"
            ),
            element("circle", cx=across(share.observed), cy=y, r=4, class_=f"dot {hosts[of_host.host]}"),
        ]
    axis = [
        part
        for value in range(0, 101, 20)
        for part in (
            element("line", x1=across(value), x2=across(value), y1=_TOP, y2=bottom, class_="grid"),
            _label(f"{value}%", across(value), bottom + 16, anchor="middle"),
        )
    ]
    return _plot(height, "Shares: declared (bar), observed (dot) and its bounds (line)", [*axis, *marks])


def move_times(report: Report) -> str:
    """When each move was effective at the hosts, with its bounds."""
    seen = [(move, move.effective) for move in report.moves if move.effective]
    if not seen:
        return ""
    left, row = 430, 22
    labels = ticks(max(max(each.latest, (move.in_force or 0) / 1000) for move, each in seen))
    across = Scale(0, labels[-1], left, _RIGHT)
    bottom = _TOP + row * len(seen)
    marks: list[str] = []
    for number, (move, each) in enumerate(seen):
        y = _TOP + row * (number + 0.5)
        marks += [
            _label(f"{move.title}, {move.model}", left - 10, y + 4, anchor="end"),
            element("line", x1=across(each.earliest), x2=across(each.latest), y1=y, y2=y, class_="bound c0"),
            element("circle", cx=across(each.after), cy=y, r=5, class_="dot c0"),
        ]
        if move.in_force is not None:
            x = across(move.in_force / 1000)
            marks.append(element("line", x1=x, x2=x, y1=y - 7, y2=y + 7, class_="declared"))
    axis = [
        part
        for value in labels
        for part in (
            element("line", x1=across(value), x2=across(value), y1=_TOP, y2=bottom, class_="grid"),
            _label(f"{1000 * value:g} ms", across(value), bottom + 16, anchor="middle"),
        )
    ]
    title = "Moves: first request by the new shares (dot), its bounds (line), in force by Envoy's word (bar)"
    return _plot(bottom + 30, title, [*axis, *marks])


def _plot(height: float, title: str, parts: Iterable[str]) -> str:
    label = element("title", text(title))
    return element("svg", label, *parts, viewBox=f"0 0 {_WIDTH} {height:g}", role="img", aria_label=title)


def _time(report: Report) -> Scale:
    begin = report.timeline[0].at if report.timeline else 0
    return Scale(begin, max(report.seconds, begin + 1), _LEFT, _RIGHT)


def _stairs(report: Report, values: Sequence[float], across: Scale, up: Scale) -> Iterable[tuple[float, float]]:
    for second, value in zip(report.timeline, values, strict=True):
        yield across(second.at), up(value)
        yield across(second.at + 1), up(value)


def _bands(report: Report, across: Scale, bottom: float) -> Iterable[str]:
    """The steps behind a plot, each with its number."""
    for number, step in enumerate(report.steps, 1):
        if step.began is None or step.ended is None or step.ended <= across.low:
            continue
        begin, end = across(step.began), across(step.ended)
        yield element(
            "rect",
            element("title", text(step.title)),
            x=begin,
            y=_TOP,
            width=max(0, end - begin),
            height=bottom - _TOP,
            class_="band odd" if number % 2 else "band",
        )
        yield _label(str(number), (begin + end) / 2, _TOP - 6, anchor="middle")


def _rows(values: Sequence[float], up: Scale, say: Callable[[float], str]) -> Iterable[str]:
    for value in values:
        yield element("line", x1=_LEFT, x2=_RIGHT, y1=up(value), y2=up(value), class_="grid")
        yield _label(say(value), _LEFT - 6, up(value) + 4, anchor="end")


def _seconds(report: Report, across: Scale, bottom: float) -> Iterable[str]:
    for value in ticks(report.seconds, 12):
        if across.low <= value <= across.high:
            yield _label(f"{value:g} s", across(value), bottom + 16, anchor="middle")


def _label(said: str, x: float, y: float, anchor: str = "start") -> str:
    return element("text", text(said), x=x, y=y, text_anchor=anchor)
