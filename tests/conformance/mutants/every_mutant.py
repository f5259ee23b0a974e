"""Every faulty endpoint, for tests that run something against all of them.

``MUTANTS`` maps the name to the ``Mutant``; ``mutant.client()`` returns a client of a fresh endpoint with that fault.
Import the modules of this folder through this one: ``MUTANTS`` is then in the order of docs/mutants.md.
``found_by_exploring`` says whether 400 random requests, compared with the model, find a mutant.
"""

import of_addressing
import of_content
import of_headers
import of_races
import of_reading
import of_refusals
import of_the_lock
import of_time
import of_versions
from faulty import MUTANTS, Mutant

from workbench import explore
from workbench.errors import CannotCheck

MODULES = (
    of_addressing,
    of_content,
    of_headers,
    of_races,
    of_reading,
    of_refusals,
    of_the_lock,
    of_time,
    of_versions,
)
"""Each adds its mutants to ``MUTANTS`` when it is imported."""

__all__ = ["MODULES", "MUTANTS", "Mutant", "found_by_exploring", "of_headers"]


def found_by_exploring(mutant: Mutant) -> bool:
    """Return whether an exploration of 400 steps finds this mutant. Some make it impossible to begin one."""
    try:
        return bool(explore(mutant.client(), steps=400, most=1).disagreements)
    except CannotCheck:
        return False
