"""The probes, a module a section of the contract. Each asserts the contract's literal statuses and codes."""
