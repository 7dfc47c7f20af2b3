"""What can be wrong with a forecast in a way that its caller must be able to say."""


class TooLittleHistoryError(ValueError):
    """The history cannot carry the model; the message says what is missing and how much there is."""
