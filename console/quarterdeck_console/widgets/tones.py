"""Tones as styles: the theme's colours, looked up once and again after each change of theme."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.text import width
from quarterdeck_console.model.words import Tone

TONE_CLASSES = {f"tone--{tone.value}" for tone in Tone}


class Toned(Widget):
    """A widget that draws toned text. The colours of the tones stand in the style sheet."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._tones: dict[tuple[str, str], Style] = {}

    def notify_style_update(self) -> None:
        """Forgets the looked-up colours."""
        super().notify_style_update()
        self._tones.clear()
        self.restyled()

    def restyled(self) -> None:
        """Colours changed: whatever was drawn with the old ones must be drawn again."""
        self.refresh()

    def tone(self, tone: Tone, layer: str = "") -> Style:
        """The style of a tone on the widget's background, or on a layer such as the cursor's.

        Args:
            tone: What the text means.
            layer: A component class that is laid over it; empty for none.
        """
        style = self._tones.get((tone, layer))
        if style is None:
            # Not partial: only then are translucent colours blended with what is behind them.
            style = self.get_component_rich_style(f"tone--{tone.value}")
            ground = self.rich_style
            if layer:
                ground = self.get_component_rich_style(layer)
                if layer.endswith("--stale"):
                    style = ground
            style += Style(bgcolor=ground.bgcolor, bold=True if ground.bold else None)
            self._tones[(tone, layer)] = style
        return style

    def strip_of(self, line: Line, cells: int = 0, layer: str = "") -> Strip:
        """A drawn line, padded to at least so many cells."""
        segments = [Segment(piece.text, self.tone(piece.tone, layer)) for piece in line]
        used = sum(width(piece.text) for piece in line)
        if used < cells:
            segments.append(Segment(" " * (cells - used), self.tone(Tone.PLAIN, layer)))
        return Strip(segments, max(used, cells))
