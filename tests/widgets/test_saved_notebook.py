"""A notebook saved with the state of its widgets holds nobody's name from a live endpoint."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from privatekit import BENCH, PLANTED

ROOT = Path(__file__).parents[2]
STATE = "application/vnd.jupyter.widget-state+json"


def notebook(client: str) -> nbformat.NotebookNode:
    sources = [BENCH, f"bench = show_everything({client})\nbench", f"checked({client})"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in sources], metadata=kernel)


def documented_command() -> list[str]:
    """The command of docs/regression.md, without the program, the notebook and the environment."""
    page = (ROOT / "docs" / "regression.md").read_text(encoding="utf-8").replace("\\\n", "")
    (command,) = re.findall(r"^\$ WORKBENCH_CASSETTE=record \S+/jupyter (nbconvert .*) \S+\.ipynb$", page, re.MULTILINE)
    return shlex.split(command)


@pytest.mark.parametrize("client", ["LIVE", "spine.client('me')"], ids=["live", "on this machine"])
def test_saved_with_the_state_of_its_widgets(client: str, tmp_path: Path) -> None:
    made = notebook(client)
    NotebookClient(made, timeout=120, store_widget_state=True).execute()
    path = tmp_path / "saved.ipynb"
    nbformat.write(made, path)
    saved = path.read_text(encoding="utf-8")
    assert STATE in saved
    assert saved.count("JsonEditor") >= 1
    assert (PLANTED in saved) is (client != "LIVE"), "on this machine the state shows that the name would be found"


def test_saved_by_the_documented_command(tmp_path: Path) -> None:
    path = tmp_path / "saved.ipynb"
    nbformat.write(notebook("spine.client('me')"), path)
    command = [sys.executable, "-m", "jupyter", *documented_command(), str(path)]
    private = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ | private)
    saved = path.read_text(encoding="utf-8")
    assert '"execution_count": 3' in saved
    assert STATE not in saved
    assert PLANTED not in saved
