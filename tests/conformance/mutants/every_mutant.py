"""Every faulty endpoint, for tests that run something against all of them.

``MUTANTS`` maps the name to the ``Mutant``; ``mutant.client()`` returns a client of a fresh endpoint with that fault.
Import the modules of this folder through this one: ``MUTANTS`` is then in the order of docs/mutants.md.
``found_by_exploring`` is the hook for ``check --explore``: a function that says whether exploring finds a mutant.
"""

from collections.abc import Callable

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

found_by_exploring: Callable[[Mutant], bool] | None = None
"""Whether random sequences find this mutant; ``None`` where exploring is not there to be asked."""
