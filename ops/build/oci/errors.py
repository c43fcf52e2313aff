"""The only error of the image builder."""


class OciError(ValueError):
    """An image that cannot be built; the message names the problem, the place and the remedy."""
