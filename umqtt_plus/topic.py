"""Matching topics to filters, for applications (MQTT 3.1.1, section 4.7)."""


def matches(topic_filter, topic):
    """Whether a topic (bytes) fits a valid filter (bytes). Allocates nothing."""
    i = j = 0
    n = len(topic_filter)
    m = len(topic)
    if m and topic[0] == 36 and topic_filter[0] != 36:
        return False  # wildcards in front do not see $ topics (MQTT-4.7.2-1)
    while i < n:
        c = topic_filter[i]
        if c == 35:
            return True
        if c == 43:
            while j < m and topic[j] != 47:
                j += 1
            i += 1
        elif j < m and topic[j] == c:
            i += 1
            j += 1
        else:
            # "a/#" fits "a" itself, the parent level
            return j == m and c == 47 and i + 2 == n and topic_filter[i + 1] == 35
    return j == m
