"""What the agent refuses, in its own words; `app` gives them status codes."""


class AgentError(Exception):
    """The agent cannot do what was asked."""


class TurnRunningError(AgentError):
    """A turn runs already; wait for its result or interrupt it."""


class UnknownTurnError(AgentError):
    """This is neither the running turn nor the last one."""


class EventsForgottenError(AgentError):
    """The events asked for were acknowledged and are gone; ask from the last acknowledged one."""


class StoppingError(AgentError):
    """The agent is stopping and takes no turn."""


class TooManyCommandsError(AgentError):
    """As many commands as allowed run already."""


class ProbeError(AgentError):
    """The probe did not come to an end."""


class ConnectError(AgentError):
    """The agent's own process could not be started ahead of a turn."""
