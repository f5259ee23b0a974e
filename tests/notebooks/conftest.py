"""These notebooks are material for test_notebooks.py, which runs them by name; one of them must fail."""

collect_ignore_glob = ["*.ipynb"]
