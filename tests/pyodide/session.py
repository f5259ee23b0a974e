"""A lesson under Pyodide: load, edit, send, a stale version, a merge, the proof, a race, and a few probes.

``run.mjs`` runs this file; the last line printed is what happened, as JSON. pandas and matplotlib are blocked, as
their compiled code for another system may be on the path.
"""

import json
import sys
import time
import warnings

LIST = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
MODULES_NOT_HERE = ("matplotlib", "numpy", "pandas")
sys.modules.update(dict.fromkeys(MODULES_NOT_HERE))  # None: importing one of them raises ImportError

import workbench as wb  # noqa: E402
from workbench.conformance.probes import PROBES  # noqa: E402
from workbench.widgets.workbench import WriteSwitch  # noqa: E402

with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for name in wb.__all__:
        getattr(wb, name)
    spine = wb.Endpoint.start(clock=wb.LESSON_START, seed=1)
    steps = {}

    # Both load the same version with the widget; bob's is stale when he sends it.
    alice, bob = wb.Workbench(spine.client("alice")), wb.Workbench(spine.client("bob"))
    steps["load"] = [alice.load(*LIST).verdict.value, bob.load(*LIST).verdict.value]
    for bench, title in (alice, "Hers"), (bob, "His"):
        bench.editor.value = json.dumps(json.loads(bench.editor.value) | {"title": title})
    steps["send"] = alice.send().verdict.value
    steps["stale"] = bob.send().verdict.value

    # A three-way merge, one decision, and the result is sent.
    bob.compare()
    bob.merge_view.choose("title", "mine")
    steps["merge"] = [bob.send().verdict.value, bob.load().resource["title"]]
    steps["proof"] = [wb.history(spine.journal).check().verdict, len(spine.journal)]

    race = wb.race(spine, clients=2, updates=2, executor="processes", progress=True)
    steps["race"] = [race.accepted, len(race.lost), race.proof.verdict]
    raced = wb.RaceBench(spine)
    raced.clients.value = raced.updates.value = 1
    raced.run()
    steps["race bench"] = raced._lanes[0].error

    probes = [probe for probe in PROBES if probe.promise in ("UPD-3", "UPD-13")]
    report = wb.check(spine.client("carol"), probes=probes)
    steps["check"] = {finding.probe: [finding.result.name, finding.why] for finding in report.findings}

    # Without threads, the event loop switches writing off again; the check of the time does not depend on it.
    switch = WriteSwitch("fhir.example", needed=True, clock=time.monotonic)
    switch.switch.value = True
    switch.check()

print(
    json.dumps(
        {
            "python": [sys.platform, *sys.version_info[:2]],
            "steps": steps,
            "warned": [str(warning.message) for warning in warned],
            "loaded": sorted({"uvicorn", "httptools", "greenlet"} & set(sys.modules)),
        }
    )
)
