"""A Flag that other people's clients read and update, and the word of the endpoint on what became of it."""

from dataclasses import dataclass

from workbench import Client

FLAG = {
    "resourceType": "Flag",
    "status": "active",
    "code": {"text": "Hard of hearing"},
    "subject": {"display": "A patient who does not exist"},
}


@dataclass(frozen=True)
class Shared:
    """One Flag on the embedded endpoint, seen by a client of this package's own."""

    base_url: str
    logical_id: str
    witness: Client

    @property
    def etag(self) -> str:
        """The version that the endpoint holds now."""
        return str(self.witness.read("Flag", self.logical_id).etag)

    @property
    def status(self) -> str:
        """The Flag's status as the endpoint holds it."""
        found: str = self.witness.read("Flag", self.logical_id).resource["status"]
        return found
