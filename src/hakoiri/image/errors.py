"""The one error of this room."""


class ImageBuildError(Exception):
    """The image could not be built; the message names the step and the mend."""
