"""What can be wrong with a segmentation in a way that its user can mend."""


class LensError(ValueError):
    """A lens file that cannot be used; the message names file, key and remedy."""


class NoModelError(RuntimeError):
    """No number of segments gives segments large enough; the message says what to change."""


class NoClusteringError(RuntimeError):
    """An algorithm does not divide these customers into so many clusters; the message says why."""
