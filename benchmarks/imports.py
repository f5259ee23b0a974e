"""What ``import workbench`` adds to a bare Python, and what it leaves unloaded."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.rounds import best

HEAVY = ("pandas", "ipywidgets", "requests", "sqlalchemy")


def main() -> None:
    bare = best(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    ours = best(lambda: subprocess.run([sys.executable, "-c", "import workbench"], check=True))
    print(f"import workbench adds {1000 * (ours - bare):.0f} ms to a bare Python (target: at most 100)")
    code = f"import sys, workbench; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"  of {', '.join(HEAVY)} it loads: {loaded}")


if __name__ == "__main__":
    main()
