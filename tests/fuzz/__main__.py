"""``python -m tests.fuzz``: with the folder of the tests on the path, where their helpers are."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.campaign import main

if __name__ == "__main__":
    sys.exit(main())
