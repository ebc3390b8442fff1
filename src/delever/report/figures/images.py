"""Figures as pictures, drawn by a browser that kaleido finds, and figures read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from delever.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_WIDTH, _HEIGHT, _SCALE = 1_000, 420, 2


def write_pngs(figures: Mapping[Path, Figure]) -> None:
    """Draw figures into files, all of them in one browser.

    Raises InputError if there is no kaleido or no Chrome, or Chrome does not start.
    """
    try:
        import kaleido
        from kaleido.errors import BrowserFailedError, ChromeNotFoundError
    except ImportError:
        raise InputError(
            "a PNG needs the package kaleido, which is not there; run: pip install 'delever[png]'"
        ) from None
    orders = [
        {
            "fig": figure,
            "path": path,
            "opts": {
                "format": "png",
                "width": figure.layout.width or _WIDTH,
                "height": figure.layout.height or _HEIGHT,
                "scale": _SCALE,
            },
        }
        for path, figure in figures.items()
    ]
    try:
        # Without mathjax nothing is asked of the network.
        kaleido.write_fig_from_object_sync(orders, kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise InputError(
            "a PNG needs Chrome or Chromium, and none was found; install one, or set BROWSER_PATH "
            "to the program"
        ) from None
    except BrowserFailedError as error:
        raise InputError(
            f"a PNG needs Chrome or Chromium, and it did not start: {error}; set BROWSER_PATH to "
            "one that does"
        ) from None


def read_figure(text: str) -> Figure:
    """A figure from its JSON. Raises ValueError if it is none."""
    from plotly.io import from_json

    return from_json(text)
