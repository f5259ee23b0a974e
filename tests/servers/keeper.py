"""Run a command, and end it when standard input closes: also when whoever started this was killed.

Knows nothing of what it runs. ``python keeper.py COMMAND ARGUMENT…``; the command's output passes through.
"""

import os
import subprocess
import sys
import threading


def _end_with_parent(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):
        pass
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    kept = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_parent, args=(kept,), daemon=True).start()
    code = kept.wait()
    os._exit(code if code >= 0 else 1)  # the thread above may still be reading
