"""Line charts as SVG: the standard library only, the same bytes for the same data, readable in light and dark."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

WIDTH = 880
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 30, 42  # margins of a panel, for its title and the names of its axes
# Okabe and Ito's colours, which people with any kind of colour vision tell apart; lighter ones on dark.
LIGHT = ("#6b7280", "#0072b2", "#009e73", "#d55e00", "#a8488a")
DARK = ("#9aa4b2", "#56b4e9", "#2fd3a2", "#ff8c42", "#e79ac6")
DASHES = ("2 3", "", "7 3", "", "9 3 2 3")

STYLE = """
  .sheet { fill: #ffffff; } .frame { fill: none; stroke: #c4c9d1; } .grid { stroke: #e6e8ec; }
  .span { fill: #d55e00; opacity: .10; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2430; } .soft { fill: #565d6b; }
  .title { font-size: 16px; font-weight: 600; } .head { font-size: 13px; font-weight: 600; }
  .note { font-size: 11px; font-style: italic; }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }"""
STYLE_DARK = """
    .sheet { fill: #0f141b; } .frame { stroke: #414a57; } .grid { stroke: #252c36; } .span { fill: #ff8c42; opacity: .14; }
    text { fill: #e6e9ee; } .soft { fill: #a3adba; }"""


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes:
        name: in the legend; lines of the same name look the same in all panels.
        points: x and y; None for y leaves a gap.
    """

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        x_name, y_name: of the axes, with their units.
        lines: in it.
        x_range, y_range: what the axes show.
        x_label: how a tick of the x axis is written.
        x_step: distance of its ticks.
        spans: shaded times: from, to, and what happens then.
        notes: words beside lines: where their middle is, in the units of the axes, and what they say.
        logarithmic: whether the y axis is.
        height: of the whole panel, pixels.
        share: of the width of its row.
    """

    title: str
    x_name: str
    y_name: str
    lines: Sequence[Line]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_step: float
    x_label: Callable[[float], str] = "{:g}".format
    spans: Sequence[tuple[float, float, str]] = field(default=())
    notes: Sequence[tuple[float, float, str]] = field(default=())
    logarithmic: bool = False
    height: int = 220
    share: float = 1.0


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between two bounds."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start", turn: bool = False) -> str:  # noqa: FBT001, FBT002
    rotation = f' transform="rotate(-90 {_number(x)} {_number(y)})"' if turn else ""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"{style}{rotation}>{escape(words)}</text>'


class _Drawing:
    """A panel at its place on the sheet."""

    def __init__(self, panel: Panel, number: int, left: float, top: float, width: float, colours: dict[str, int]) -> None:
        self.panel, self.number, self.colours = panel, number, colours
        self.left, self.right = left + LEFT, left + width - RIGHT
        self.top, self.bottom = top + TOP, top + panel.height - BOTTOM
        self.outer_left = left

    def x(self, value: float) -> float:
        low, high = self.panel.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.panel.y_range
        if self.panel.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def _y_ticks(self) -> list[float]:
        low, high = self.panel.y_range
        if self.panel.logarithmic:
            return [10.0**power for power in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]
        return ticks(low, high, 4)

    def _x_ticks(self) -> list[float]:
        low, high = self.panel.x_range
        step = self.panel.x_step
        return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]

    def axes(self) -> Iterator[str]:
        panel = self.panel
        yield _text(self.left, self.top - 10, panel.title, "head")
        for begin, end, _ in panel.spans:
            x, y, width, height = map(_number, (self.x(begin), self.top, self.x(end) - self.x(begin), self.bottom - self.top))
            yield f'<rect class="span" x="{x}" y="{y}" width="{width}" height="{height}"/>'
        for value in self._y_ticks():
            y = _number(self.y(value))
            yield f'<line class="grid" x1="{_number(self.left)}" y1="{y}" x2="{_number(self.right)}" y2="{y}"/>'
            yield _text(self.left - 7, self.y(value) + 4, f"{value:,g}", "soft", "end")
        for value in self._x_ticks():
            x = _number(self.x(value))
            yield f'<line class="frame" x1="{x}" y1="{_number(self.bottom)}" x2="{x}" y2="{_number(self.bottom + 4)}"/>'
            yield _text(self.x(value), self.bottom + 17, panel.x_label(value), "soft", "middle")
        x, y, width, height = map(_number, (self.left, self.top, self.right - self.left, self.bottom - self.top))
        box = f'x="{x}" y="{y}" width="{width}" height="{height}"'
        yield f'<rect class="frame" {box}/>'
        yield f'<clipPath id="inside{self.number}"><rect {box}/></clipPath>'
        yield _text((self.left + self.right) / 2, self.bottom + 34, panel.x_name, "soft", "middle")
        yield _text(self.outer_left + 18, (self.top + self.bottom) / 2, panel.y_name, "soft", "middle", turn=True)

    def lines(self) -> Iterator[str]:
        for line in self.panel.lines:
            path, pen_down = [], False
            for x, y in line.points:
                if y is None:
                    pen_down = False
                    continue
                path.append(f"{'L' if pen_down else 'M'}{_number(self.x(x))} {_number(self.y(y))}")
                pen_down = True
            look = f'class="line c{self.colours[line.name]}" clip-path="url(#inside{self.number})"'
            yield f'<path {look} d="{"".join(path)}"/>'
        for begin, end, words in self.panel.spans:
            yield _text((self.x(begin) + self.x(end)) / 2, self.top + 14, words, "soft", "middle")
        for x, y, words in self.panel.notes:
            yield _text(self.x(x), self.y(y), words, "note", "middle")


def _legend(names: Sequence[str], top: float) -> tuple[list[str], float]:
    """Entries side by side, in as many rows as they need; and where the space below them begins."""
    parts, x = [], 24.0
    for number, name in enumerate(names):
        width = 40 + 6.4 * len(name)
        if x + width > WIDTH:
            x, top = 24.0, top + 20
        parts.append(f'<path class="line c{number}" d="M{_number(x)} {_number(top - 4)}h28"/>')
        parts.append(_text(x + 34, top, name))
        x += width + 16
    return parts, top + 12


def chart(title: str, description: str, rows: Sequence[Sequence[Panel]]) -> str:
    """A sheet of panels.

    Args:
        title: above all.
        description: for those who cannot see it.
        rows: of panels, from the top down, and within a row from left to right.
    """
    names = list(dict.fromkeys(line.name for row in rows for panel in row for line in panel.lines))
    colours = {name: number for number, name in enumerate(names)}
    entries, top = _legend(names, 54)
    body, number = [], 0
    for row in rows:
        left, whole = 0.0, sum(panel.share for panel in row)
        for panel in row:
            width = WIDTH * panel.share / whole
            drawing = _Drawing(panel, number, left, top, width, colours)
            body += [*drawing.axes(), *drawing.lines()]
            left, number = left + width, number + 1
        top += max(panel.height for panel in row)
    height = _number(top + 6)

    def strokes(palette: Sequence[str]) -> str:
        return " ".join(f".c{index} {{ stroke: {palette[index]}; }}" for index in colours.values())

    dashes = " ".join(f".c{index} {{ stroke-dasharray: {DASHES[index]}; }}" for index in colours.values() if DASHES[index])
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{STYLE}\n  {strokes(LIGHT)}\n  {dashes}",
        f"  @media (prefers-color-scheme: dark) {{{STYLE_DARK}\n    {strokes(DARK)}\n  }}\n</style>",
        f'<rect class="sheet" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(24, 28, title, "title"),
    ]
    return "\n".join([*head, *entries, *body, "</svg>", ""])
