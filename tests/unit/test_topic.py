"""Which topics fit which filters, and what reason codes say."""

from umqtt_plus.errors import MQTTException
from umqtt_plus.topic import matches
from util import each, same

MATCHES = (
    (b"a/b/c", b"a/b/c", True),
    (b"a/b/c", b"a/b/d", False),
    (b"a/b/c", b"a/b", False),
    (b"a/b", b"a/b/c", False),
    (b"a/b", b"a/bc", False),
    (b"a/bc", b"a/b", False),
    (b"A", b"a", False),
    (b"#", b"a", True),
    (b"#", b"a/b/c", True),
    (b"#", b"/", True),
    (b"a/#", b"a", True),
    (b"a/#", b"a/", True),
    (b"a/#", b"a/b/c", True),
    (b"a/#", b"ab", False),
    (b"a/#", b"b", False),
    (b"a/b/#", b"a", False),
    (b"a/b/#", b"a/b", True),
    (b"+", b"a", True),
    (b"+", b"a/b", False),
    (b"+", b"/a", False),
    (b"/+", b"/a", True),
    (b"+/+", b"/a", True),
    (b"+/+", b"a", False),
    (b"+/+", b"a/", True),
    (b"a/+", b"a/b", True),
    (b"a/+", b"a/", True),
    (b"a/+", b"a", False),
    (b"a/+", b"a/b/c", False),
    (b"a/+/c", b"a/b/c", True),
    (b"a/+/c", b"a/bb/c", True),
    (b"a/+/c", b"a//c", True),
    (b"a/+/c", b"a/b/d", False),
    (b"a/+/c", b"a/b/c/d", False),
    (b"a/+/#", b"a/b", True),
    (b"a/+/#", b"a", False),
    (b"a/+/#", b"a/b/c/d", True),
    (b"+/#", b"a", True),
    (b"+/#", b"/", True),
    (b"/", b"/", True),
    (b"/", b"//", False),
    (b"//", b"//", True),
    (b"#", b"$SYS/x", False),
    (b"+/x", b"$SYS/x", False),
    (b"+", b"$SYS", False),
    (b"$SYS/#", b"$SYS/x", True),
    (b"$SYS/+", b"$SYS/x", True),
    (b"a/#", b"a/$b", True),
    (b"a/+", b"a/$b", True),
    (b"\xc3\xa9/+", b"\xc3\xa9/x", True),
)


def test_matches():
    each(MATCHES, lambda topic_filter, topic, fits: same(bool(matches(topic_filter, topic)), fits))


def test_matches_as_by_levels():
    """Every filter and topic of up to three levels from a small alphabet, against a slow way."""

    def slow(levels, names):
        if not levels:
            return not names
        if levels[0] == b"#":
            return True
        if not names:
            return False
        return levels[0] in (b"+", names[0]) and slow(levels[1:], names[1:])

    def words(alphabet):
        for a in alphabet:
            yield (a,)
            for b in alphabet:
                yield (a, b)
                for c in alphabet:
                    yield (a, b, c)

    topics = [t for t in words((b"", b"a", b"ab")) if t != (b"",)]
    number = 0
    for levels in words((b"", b"a", b"ab", b"+", b"#")):
        if b"#" in levels[:-1] or levels == (b"",):
            continue
        topic_filter = b"/".join(levels)
        for names in topics:
            fits = slow(levels, names) or levels[-1] == b"#" and slow(levels[:-1], names)
            got = bool(matches(topic_filter, b"/".join(names)))
            assert got == fits, (topic_filter, names, got)
            number += 1
    assert number > 3000


def test_reasons():
    """Each code that the client raises is explained; another one does not fail."""
    texts = []
    for code in (1, 2, 3, 4, 5, 0x80, 0x82, 0x95, 0x97):
        text = str(MQTTException(code))
        assert "unknown" not in text and str(code) in text, text
        assert text not in texts
        texts.append(text)
        same(MQTTException(code).args[0], code)
    assert "99" in str(MQTTException(99))
