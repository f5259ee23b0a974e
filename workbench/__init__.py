"""spine-workbench: load a FHIR resource, edit it, PUT it with ``If-Match``, and see the result.

>>> import workbench as wb
>>> spine = wb.Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=1)
>>> alice = spine.client("alice")
>>> draft = alice.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a").resource
>>> draft["title"] = "Reasonable adjustments, reviewed"
>>> alice.update(draft).verdict
Verdict.UPDATED

Every name loads its module when it is first used, so importing this costs next to nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
