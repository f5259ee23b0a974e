"""The executable contract: does an endpoint keep the promises? Probes, their findings, and reports of them.

Speaks to an endpoint by the package's client alone and asserts the contract's literal statuses and codes,
never ``rules`` against itself.
"""
