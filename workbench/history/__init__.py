"""The proof: could a correct endpoint have given the answers that its clients got?

A model of one resource with real-time order, in the manner of knossos and porcupine. Versions are written once and an
accepted ``If-Match`` names the version before, so a history is decided in two passes over its versions. It checks the
contract's UPD-1, UPD-3, UPD-6, UPD-7, UPD-11, UPD-13, RD-1, RD-2, DL-1 and DL-2.
"""

from workbench.history.check import Finding, Flaw, History, Loss, Proof, history

__all__ = ["Finding", "Flaw", "History", "Loss", "Proof", "history"]
