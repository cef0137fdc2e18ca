"""Draws a flame graph as SVG from sampled stacks, one ``frame;frame;frame count`` a line: ``... < stacks > graph.svg``.

``py-spy record --threads --function --format raw --pid PID --output stacks`` writes them.
"""

import sys
from dataclasses import dataclass, field
from html import escape
from zlib import crc32

WIDTH, ROW = 1_200, 17
LEAST = 0.002
"""Share of all samples below which a frame is left out."""
_PIXELS_PER_LETTER = 6.3


@dataclass
class Frame:
    """A function as called from one stack, the samples in it and what it calls."""

    samples: int = 0
    calls: dict[str, "Frame"] = field(default_factory=dict)

    def add(self, stack: list[str], samples: int) -> None:
        self.samples += samples
        if stack:
            self.calls.setdefault(stack[0], Frame()).add(stack[1:], samples)

    def depth(self, least: float) -> int:
        shown = (each.depth(least) for each in self.calls.values() if each.samples >= least)
        return 1 + max(shown, default=0)


def drawn(root: Frame) -> str:
    """Return the SVG, with the whole at the bottom."""
    height = root.depth(LEAST * root.samples) * ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="font: 11px sans-serif">']

    def draw(name: str, frame: Frame, left: float, row: int) -> None:
        width = WIDTH * frame.samples / root.samples
        if frame.samples < LEAST * root.samples:
            return
        share = f"{name}: {frame.samples / root.samples:.1%}"
        letters = int(width / _PIXELS_PER_LETTER)
        label = name if len(name) <= letters else name[: max(letters - 1, 0)] + "…" if letters > 3 else ""
        hue = crc32(name.encode()) % 40 + 15
        top = height - (row + 1) * ROW
        parts.append(
            f'<g><title>{escape(share)}</title><rect x="{left:.1f}" y="{top}" width="{max(width - 0.4, 0.2):.1f}" '
            f'height="{ROW - 1}" fill="hsl({hue} 85% 68%)"/>'
            f'<text x="{left + 3:.1f}" y="{top + 12}">{escape(label)}</text></g>'
        )
        for called, each in sorted(frame.calls.items()):
            draw(called, each, left, row + 1)
            left += WIDTH * each.samples / root.samples

    draw("all", root, 0.0, 0)
    return "\n".join((*parts, "</svg>", ""))


def main() -> None:
    root = Frame()
    for line in sys.stdin:
        stack, _, count = line.rpartition(" ")
        root.add(stack.split(";"), int(count))
    sys.stdout.write(drawn(root))


if __name__ == "__main__":
    main()
