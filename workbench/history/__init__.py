"""The proof: could a correct endpoint have given the answers that its clients got?

``events`` reads what each exchange says about the versions of its resource. ``chain`` puts the versions in order and
compares the order with the clock. ``check`` decides. ``violations`` puts each violation into a sentence, and
``losses`` names the elements that were lost.

The model is one register with real-time order (linearizable: each write takes effect at one moment between its start
and its end), as in knossos and porcupine. A version id is used once, and an accepted ``If-Match`` names the version
before. So a history is decided in two passes over its versions. The promises checked are UPD-1, UPD-3, UPD-6, UPD-7,
UPD-11, UPD-13, RD-1, RD-2, DL-1 and DL-2 of the contract.
"""
