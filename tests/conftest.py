"""What every test stands on: UTC, a seed, and the examples' numbers."""

from __future__ import annotations

import os
import time

os.environ["TZ"] = "UTC"
time.tzset()
