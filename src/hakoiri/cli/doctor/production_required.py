"""What a start in production refuses to go on without, in lines for a person."""

from hakoiri.cli.doctor.finding import State
from hakoiri.cli.doctor.production_facts import examine_production
from hakoiri.host.settings import Settings


def lacking(settings: Settings) -> list[str]:
    """Return a line for each layer that is missing, with its mend; empty if none is."""
    return [
        f"{finding.name}: {finding.text}; mend: {finding.mend}"
        for finding in examine_production(settings)
        if finding.state is State.MISSING
    ]
