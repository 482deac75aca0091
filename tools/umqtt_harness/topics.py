"""Which topic names a topic filter matches."""


def matches(topic_filter, topic):
    """The standard's rules: +, #, "a/#" matches "a", and no leading wildcard matches $..."""
    if topic_filter == topic:
        return True
    if topic[:1] == "$" and topic_filter[:1] in ("+", "#"):
        return False
    levels = topic.split("/")
    wanted = topic_filter.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i == len(levels) or level not in ("+", levels[i]):
            return False
    return len(wanted) == len(levels)
