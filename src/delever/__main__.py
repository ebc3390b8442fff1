"""``python -m delever`` is the ``delever`` command."""

from __future__ import annotations

import sys

from delever.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
