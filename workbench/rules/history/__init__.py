"""Proof: whether an endpoint can have been correct, given what its clients were told.

A small model of one lock per resource with real-time order, in the manner of knossos and porcupine, specialised:
versions are written once and an accepted ``If-Match`` names the one before, so a sound history is decided in one
pass. The contract's UPD-1, UPD-3, UPD-6, UPD-7, UPD-11, UPD-13, RD-1, RD-2, DL-1 and DL-2 are what it holds.
"""

from workbench.rules.history.finding import Finding, Flaw
from workbench.rules.history.losses import Loss
from workbench.rules.history.proof import History, Proof, history

__all__ = ["Finding", "Flaw", "History", "Loss", "Proof", "history"]
