"""Other clients: where they are found and what each can do. One that is missing is named."""


def find(directory, fetch):
    """(contenders, notes on what is missing)."""
    return [], []
