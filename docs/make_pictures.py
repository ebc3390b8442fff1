"""Make the pictures of the documentation anew: `make pictures`, which needs Debian's chromium.

They show the demo's tear-sheets as a browser does, by day, by night and on a phone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.chromium import missing, opened, started  # noqa: E402

import delever as dl  # noqa: E402

# File, study, and how it is looked at.
PICTURES = (
    ("tearsheet.png", "ma200w_break", {"width": 1280, "height": 1440}),
    (
        "tearsheet-dark.png",
        "support_breach",
        {"width": 1280, "height": 1440, "color_scheme": "dark"},
    ),
    (
        "tearsheet-phone.png",
        "support_breach",
        {"width": 390, "height": 1100, "device_scale_factor": 1.5, "has_touch": True},
    ),
)


def main() -> None:
    if missing():
        raise SystemExit(missing())
    folder = Path(tempfile.mkdtemp())
    with started() as browser:
        for name, study, look in PICTURES:
            run = dl.run(ROOT / "backtests" / f"{study}.toml", workspace=ROOT)
            page = run.page(folder / f"{study}.html")
            with opened(browser, page, **look) as seen:
                target = ROOT / "docs" / name
                seen.page.screenshot(path=target)
            print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
