"""``python -m benchmarks``: every benchmark, one after another; or those named."""

import sys
from importlib import import_module

NAMES = ("endpoint", "servers", "imports", "updates", "journal", "widget", "merges", "pictures", "races", "history")

for name in sys.argv[1:] or NAMES:
    import_module(f"benchmarks.{name}").main()
    print()
