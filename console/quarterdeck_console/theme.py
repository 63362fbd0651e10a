"""The console's own colours."""

from __future__ import annotations

from textual.theme import Theme

NAME = "quarterdeck"

QUARTERDECK = Theme(
    name=NAME,
    primary="#5aa9e6",
    secondary="#7f8fa6",
    accent="#e0b872",
    success="#7fb685",
    warning="#e0a458",
    error="#e06c6c",
    foreground="#d5dae1",
    background="#12161c",
    surface="#171c24",
    panel="#1f2630",
    dark=True,
    variables={
        "border": "#2c3542",
        "border-blurred": "#2c3542",
        "block-cursor-foreground": "#12161c",
        "input-selection-background": "#5aa9e6 35%",
        "scrollbar": "#2c3542",
        "scrollbar-background": "#12161c",
        "scrollbar-hover": "#3c4858",
        "scrollbar-active": "#5aa9e6",
    },
)
