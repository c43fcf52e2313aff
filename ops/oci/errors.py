"""The one error of the image builder."""


class OciError(ValueError):
    """An image that cannot be built; the message names what is wrong, where, and the mend."""
