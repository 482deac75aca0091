"""Ghost counters of one world, and the invariants over them.

Now holds all of a world but the client: the server's session, the network, the books, and how many
faults are still allowed. freeze() and thaw() turn it into a tuple and back.

Message m out has a row [state, id, accepted, srv, owned, rep, told, fresh, rel, seq, may]:
  state     0 not begun, 1 open, 2 open with PUBREC, 3 done, 4 given up with its session, 5 failed,
            6 refused: it was not accepted, but a power cut may still bring it to life; 7 dropped
            with its session, which is still to be told
  accepted  by publish: 1, or 2 in a clean session, which a power cut ends
  srv       times the server took it, in the server's present session; owned: in any
  rep       completions reported in this life; told: in any, or 2 when nobody was left to be told
  fresh     times it went out with DUP 0; rel: a byte of its PUBREL went out
  seq       the how many-th it was to be handed to publish
  may       5.0: it may have been sent, as far as the client can know
Message k in has a row [given, box, effect, number]:
  given     0 no, 1 yes, 2 its session has ended
  box       times it entered the inbox; effect: times the application did what it says
  number    m.number it had, 0 none
"""

import operator

from . import server
from .audit import Broken, split
from .reading import LOST, NEW

ST, ID, ACC, SRV, OWNED, REP, TOLD, FRESH, REL, SEQ, MAY = range(11)
GIVEN, BOX, EFFECT, NUMBER = range(4)
DOWN, UP, DEAD = range(3)  # of the network; DEAD: nothing reaches the server any more
BUDGETS = "links powers losses bads damages shorts ticks fulls refusals".split()
FIELDS = "srv link s2c part out inn last_seq recs stale last clean pc given mode seen".split()
FIELDS += "present again asked charged".split()
FIELDS += BUDGETS
_fields = operator.attrgetter(*FIELDS)


class Now:
    """Rows and tuples are never changed in place, so that a copy is cheap: see row()."""

    def __init__(self, sc):
        self.sc = sc
        self.srv = None
        self.link = DOWN
        self.s2c = ()  # packets on their way to the client
        self.part = b""  # of a packet that the server has not whole
        self.out = ((0,) * 11,) * len(sc.out)
        self.inn = ((0,) * 4,) * len(sc.inn)
        self.last_seq = 0  # of the last message sent on this connection
        self.recs = ()  # messages with PUBREC, in that order
        self.stale = False  # the durable session is another one than the server's
        self.last = None  # what the application keeps: number and payload of its last effect
        self.clean = False  # the server's session ends with the connection
        self.pc = self.given = 0  # next of the application's program, of the server's messages
        self.mode = False  # the application wants clean sessions
        self.seen = False  # power was cut inside a handler
        self.present = 0  # 5.0, of this connection: Session Present,
        self.again = ()  # messages sent,
        self.asked = ()  # ids for which a PUBREL is due,
        self.charged = ()  # ids of messages that the server has not finished
        for name in BUDGETS:
            setattr(self, name, getattr(sc, name))
        self.begin()

    def begin(self):
        """A step begins."""
        self.fin = ()  # messages whose last ack was given to the client in this step
        self.refused = ()  # those of them that the server refused
        self.resumed = ()  # PUBRELs sent while connecting
        self.handling = None
        self.cleaning = False
        self.renewed = False  # the server began a new session in this step
        self.opened = 0  # connections in this step

    def copy(self):
        other = Now.__new__(Now)
        other.__dict__ = self.__dict__.copy()
        return other

    def freeze(self):
        return _fields(self)

    @classmethod
    def thaw(cls, sc, frozen):
        now = cls.__new__(cls)
        now.__dict__ = dict(zip(FIELDS, frozen, strict=True))
        now.sc = sc
        now.begin()
        return now

    def row(self, m, *changes):
        """Change the row of message m out: column, value, ..."""
        row = list(self.out[m])
        for i in range(0, len(changes), 2):
            row[changes[i]] = changes[i + 1]
        self.out = (*self.out[:m], tuple(row), *self.out[m + 1 :])

    def row_in(self, k, *changes):
        row = list(self.inn[k])
        for i in range(0, len(changes), 2):
            row[changes[i]] = changes[i + 1]
        self.inn = (*self.inn[:k], tuple(row), *self.inn[k + 1 :])

    def give_up(self):
        """The session ends, and with it all that is open in it."""
        for m, row in enumerate(self.out):
            if row[ST] in (1, 2):
                self.row(m, ST, 4)
        self.recs = ()

    # -- who is who ----------------------------------------------------------------------------

    def owner(self, p, states=(1, 2)):
        """The message under a packet id, the newest first; -1 for none."""
        for m in range(len(self.out) - 1, -1, -1):
            if self.out[m][ID] == p and self.out[m][ST] in states:
                return m
        return -1

    # -- what the client does --------------------------------------------------------------------

    def event(self, kind, data):
        """Anything but "out", which may be cut."""
        if kind == "try":
            self.row(data, ST, 1, SEQ, 1 + max(row[SEQ] for row in self.out))
        elif kind == "accepted":
            m, p = data
            row = self.out[m]
            if not p:
                self.row(m, ST, 0, SEQ, 0)  # refused: the application forgets it
                return
            if p < 0:
                return
            if row[ID] and row[ID] != p:
                raise Broken("S6", f"message {m} went out as {row[ID]}, and publish says {p}")
            for other, one in enumerate(self.out):
                if other != m and one[ID] == p and one[ST] in (1, 2):
                    raise Broken("S5", f"messages {other} and {m} are open under id {p}")
            self.row(m, ID, p, ACC, 2 if self.mode else 1)
        elif kind == "rep":
            self.reported(*data)
        elif kind == "box":
            self.boxed(*data)
        elif kind == "effect":
            self.effect(*data)
        elif kind == "end" or kind == "bad":
            if kind == "bad":
                self.row_in(self.handling, BOX, 0, NUMBER, 0)
            if self.sc.inbox_qos < 3:  # else its id is written down only now
                self.handling = None
        elif kind == "open":
            self.connection()
        elif kind == "rename":
            if self.link != DOWN:
                self.stale = False
        elif kind == "lost":
            for p, _ in data:
                m = self.owner(p, (1, 2, 7))
                if m < 0:
                    raise Broken("S19", f"unresolved {p} was not open")
                self.row(m, ST, 5)
            self.recs = ()
        elif kind == "booted":
            number, accepted = data
            if self.last and number < self.last[0]:
                self.last = None  # the file is another one: numbers begin anew
            known = sum(row[ACC] == 1 for row in self.out)
            if accepted != known and not self.sc.damages:
                raise Broken("accepted", f"{accepted} messages, but there were {known}")

    def connection(self):
        """A new connection; the server notices."""
        self.opened += 1
        self.link = UP
        self.s2c = ()
        self.part = b""
        self.last_seq = self.present = 0
        self.again = self.asked = self.charged = ()
        if self.clean:
            self.drop()
            self.give_up()

    def drop(self):
        """The server forgets its session."""
        self.srv = None
        self.clean = False
        for m in range(len(self.out)):
            self.row(m, SRV, 0)
        for k, row in enumerate(self.inn):
            if row[GIVEN]:
                self.row_in(k, GIVEN, 2)

    def reported(self, p, code):
        m = self.owner(p)
        if m < 0:
            raise Broken("S19", f"id {p} is reported, and nothing is open under it")
        row = self.out[m]
        if row[REP]:
            raise Broken("S19", f"message {m} is reported twice")
        if code > 127:
            if m not in self.refused:
                raise Broken("S2", f"message {m} is reported as {code:02X}, not so by the server")
            self.row(m, REP, 1, TOLD, 1, ST, 5)
            self.recs = tuple(x for x in self.recs if x != m)
            return
        if not row[OWNED]:
            raise Broken("S2", f"message {m} is reported, and the server does not have it")
        self.row(m, REP, 1, TOLD, 1, ST, 3)
        self.recs = tuple(x for x in self.recs if x != m)

    def boxed(self, number, qos, payload):
        k = payload[0] - 97 if payload else -1
        if not 0 <= k < len(self.inn):
            raise Broken("S13", f"{payload} was never sent")
        row = self.inn[k]
        self.handling = k
        if number and number == row[NUMBER]:
            return  # once more after a power cut, or the last time
        if number and any(number == other[NUMBER] for other in self.inn):
            raise Broken("S13", f"two messages have number {number}")
        if number and row[NUMBER] and qos == 2:
            raise Broken("S13", f"message {k} had number {row[NUMBER]}, now it has {number}")
        box = min(2, row[BOX] + 1)
        self.row_in(k, NUMBER, number, BOX, box)
        if qos == 2 and box > 1 and not (self.seen and not number):
            raise Broken("S13", f"message {k} enters the inbox twice")

    def effect(self, number, qos, payload):
        """The application does what a message says, and stores its number together with that."""
        if number and self.last and self.last[0] == number:
            if self.last[1] != payload:
                raise Broken("S13", f"number {number} of {self.last[1]} comes with {payload}")
            return
        if number:
            self.last = (number, payload)
        k = payload[0] - 97
        times = min(2, self.inn[k][EFFECT] + 1)
        self.row_in(k, EFFECT, times)
        if qos == 2 and times > 1 and not (self.seen and not number):
            raise Broken("S13", f"message {payload} has its effect twice")

    def given_to_client(self, data):
        """Whole packets that the client reads in this step."""
        for packet in split(data):
            kind = packet[0] & 0xF0
            p = packet[2] << 8 | packet[3]
            if kind in (0x40, 0x50, 0x70) and server.code(packet) == server.REFUSED:
                m = self.owner(p)
                if m >= 0:
                    self.refused += (m,)
                kind = 0x40  # it is finished
            if kind == 0x50 and self.sc.version == 5:
                self.asked += (p,)
            if kind in (0x40, 0x70):
                self.charged = tuple(x for x in self.charged if x != p)
            if kind == 0x50:
                m = self.owner(p, (1,))
                if m >= 0:
                    self.row(m, ST, 2)
                    self.recs += (m,)
            elif kind in (0x40, 0x70):
                m = self.owner(p)
                if m >= 0:
                    self.fin += (m,)

    # -- what the client writes ------------------------------------------------------------------

    def wrote(self, packet, connecting):
        """The client began to write this packet, whether it arrives or not."""
        first = packet[0]
        kind = first & 0xF0
        if first != 0x10 and first != 0xE0:
            self.stale = False  # it goes on, so it has noted the new session
        if first == 0x10:
            if packet[9] & 2:
                if not (self.mode or self.cleaning):
                    for m, row in enumerate(self.out):
                        if row[ST] in (1, 2) and row[ACC] == 1:
                            raise Broken("L1", f"message {m} is thrown away by a clean CONNECT")
                self.give_up()
        elif kind == 0x30:
            self.wrote_publish(first, packet)
        elif first == 0x82:
            p = packet[2] << 8 | packet[3]
            if self.owner(p) >= 0:
                raise Broken("S5", f"SUBSCRIBE has the id {p} of a message that is open")
        elif first == 0x62:
            self.wrote_pubrel(packet, connecting)
        elif first == 0x70 and self.srv:
            p = packet[2] << 8 | packet[3]
            for q, _, k, released in self.srv[1]:
                if q == p and released and not self.inn[k][BOX]:
                    raise Broken("S13", f"PUBCOMP for message {k}, which is not in the inbox")

    def wrote_publish(self, first, packet):
        if self.sc.version == 5 and first & 6:
            self.wrote_5(first, packet)
        m = server.payload(packet, self.sc.version)[0] - 65
        row = self.out[m]
        if not first & 6:
            return
        p = packet[5] << 8 | packet[6]
        if first & 0xF7 != 0x30 | self.sc.out[m] << 1:
            raise Broken("S6", f"first byte {first:02X} of message {m}")
        if row[ST] in (0, 4, 5, 6, 7):
            raise Broken("S15", f"message {m} is sent, and its session has ended: {row}")
        if row[REL]:
            raise Broken("S4", f"PUBLISH of message {m} after its PUBREL")
        if row[ID] and row[ID] != p:
            raise Broken("S6", f"message {m} was {row[ID]} and is now {p}")
        for other, one in enumerate(self.out):
            if other != m and one[ID] == p and one[ST] in (1, 2):
                raise Broken("S5", f"messages {other} and {m} are open under id {p}")
        if not first & 8:
            if row[FRESH]:
                raise Broken("S6", f"message {m} is sent again without DUP")
            self.row(m, ID, p, FRESH, 1)
        elif not row[ID]:
            self.row(m, ID, p)
        if row[SEQ] <= self.last_seq and not self.sc.ticks:
            raise Broken("S8", f"message {m} ({row[SEQ]}) goes out after {self.last_seq}")
        self.last_seq = row[SEQ]

    def wrote_5(self, first, packet):
        """What MQTT 5.0 says of a PUBLISH."""
        if packet[2:5] != b"\0\1u" or packet[7:-1] != server.PROPERTIES[5]:
            raise Broken("S6", f"without topic or properties: {packet.hex()}")
        m = packet[-1] - 65
        if m in self.again:
            raise Broken("S7", f"message {m} is sent again on a live link")
        if first & 8 and not self.present:
            raise Broken("S7", f"message {m} is sent again, and the server has no session")
        p = packet[5] << 8 | packet[6]
        self.again += (m,)
        self.charged += (p,)
        if self.sc.window and len(set(self.charged)) > self.sc.window:
            raise Broken("S11", f"{self.charged} are open, the server takes {self.sc.window}")
        self.row(m, MAY, 1)

    def wrote_pubrel(self, packet, connecting):
        p = packet[2] << 8 | packet[3]
        m = self.owner(p, (2,))
        if self.sc.version == 5:
            if p in self.asked:
                i = self.asked.index(p)
                self.asked = self.asked[:i] + self.asked[i + 1 :]
            elif not connecting or not self.present or m in self.resumed:
                raise Broken("S7", f"PUBREL {p} is not the answer to a PUBREC")
        if m < 0:
            if connecting:
                raise Broken("S15", f"PUBREL {p} is sent, and no message awaits it")
            return  # the answer to a PUBREC that fits nothing
        self.row(m, REL, 1)
        if connecting:
            if [x for x in self.recs if x in (*self.resumed, m)] != [*self.resumed, m]:
                raise Broken("S9", f"PUBRELs {self.resumed} and {m}; PUBRECs {self.recs}")
            self.resumed += (m,)

    def arrives(self, packet, refuses=False):
        """The server gets a packet. Its Session Present, if it was a CONNECT."""
        if packet[0] == 0x10:
            clean = bool(packet[9] & 2)
            had = self.srv is not None
            if clean and had:
                self.drop()
            version = self.sc.version
            self.srv, present, again = server.connect(self.srv, clean, version)
            self.clean = clean
            self.s2c = again
            self.present = present if version == 5 else 0
            if not present:
                self.stale = self.renewed = True
                for m, row in enumerate(self.out):
                    if row[ST] in (1, 2) and row[MAY]:
                        self.row(m, ST, 7)  # never to be sent again
            return present
        if packet[0] in (0xE0, 0x82):
            return
        if packet[0] & 0xE0 == 0x40 and server.code(packet) == server.REFUSED:
            for p, _, k, _ in self.srv[1]:
                if p == packet[2] << 8 | packet[3]:
                    self.row_in(k, GIVEN, 2)  # the application did not want it
        try:
            self.srv, answer, owned = server.take(
                self.srv, packet, self.sc.method, self.sc.version, refuses
            )
        except server.Unexpected as e:
            raise Broken("S18", str(e)) from None
        if answer:
            self.s2c += (answer,)
        if owned:
            m = owned[0] - 65
            times = min(2, self.out[m][SRV] + 1)
            self.row(m, OWNED, 1, SRV, times)
            if times > 1 and self.sc.out[m] != 1:
                name = "S1" if self.sc.out[m] else "S3"
                raise Broken(name, f"the server has message {m} twice")

    # -- power -----------------------------------------------------------------------------------

    def power_cut(self, machine, node):
        """All but flash is gone; node is what is left."""
        self.powers -= 1
        self.link = DOWN
        self.s2c = ()
        self.part = b""
        self.recs = ()
        if self.clean:
            self.drop()
        if self.handling is not None:
            self.seen = True
        files = machine.nodes[node][1]
        image = files[0][1] if files else b""  # the new one where FAT has removed the old one
        session = machine.read(image)[0]
        if session == LOST and self.damages < self.sc.damages:
            session = NEW  # it is still the damaged one
        if session == LOST:
            raise Broken("S16", "a power cut has damaged the journal")
        live = {}
        for p, kind, body in session[4]:
            if kind == "P":
                live[server.payload(body, self.sc.version)[0] - 65] = 1, p
            else:
                m = self.owner(p, (2, 7))
                if m < 0:
                    m = self.owner(p, (3,))
                if m < 0 and self.sc.fulls:
                    m = self.owner(p, (1,))  # its REL was written, but could not be flushed
                if m < 0:
                    raise Broken("S16", f"the journal has a PUBREL {p} of no message")
                live[m] = 2, p
                self.recs += (m,)
        for m, row in enumerate(self.out):
            state = row[ST]
            if m in live:
                if state == 4 and not self.cleaning or state == 7 and not self.stale:
                    raise Broken("S15", f"message {m} of an ended session is back")
                if state == 5 and self.sc.version == 5:
                    raise Broken("S19", f"message {m} was told to have failed, and is back")
                self.row(m, REP, 0, ID, live[m][1], ST, live[m][0], ACC, 1)
                if self.sc.version == 5:
                    self.row(m, MAY, 1)
                continue
            told = row[TOLD]
            if state == 7:
                state = 5  # nobody is left to be told
            if state in (1, 2):
                if not session[1] and (self.mode or self.cleaning) or row[ACC] != 1:
                    state = 4
                elif m in self.fin and row[OWNED]:
                    state = 3
                    told = 2
                elif m in self.refused or self.sc.fulls and self.refusals < self.sc.refusals:
                    state = 5  # its DEL may have been written, but could not be flushed
                    told = 2
                elif (self.sc.discard or self.sc.version == 5) and self.renewed:
                    state = 5
                elif not self.sc.out[m]:
                    state = 4
                else:
                    raise Broken("L1", f"message {m} was accepted, and is not in the journal")
            self.row(m, REP, 0, ST, state, TOLD, told)

    def reconcile(self, session):
        """After a flash that was full: what the client did not do is not done.

        That it still has each message that it accepted is checked.
        """
        has = {}
        for p, kind, packet in session[4]:
            m = server.payload(packet, self.sc.version)[0] - 65 if kind == "P" else self.owner(p)
            has[m] = 2 if kind == "R" else 1
        for m, row in enumerate(self.out):
            if row[ST] == 1 and not row[ACC] and self.sc.out[m]:
                self.row(m, ST, 6)
                if m in has:
                    raise Broken("L1", f"message {m} was refused, and is in the table")
            elif row[ST] in (1, 2) and row[ACC]:
                if m in has:
                    self.row(m, ST, has[m])
                elif (self.sc.discard or self.sc.version == 5) and self.renewed:
                    self.row(m, ST, 7)
                else:
                    raise Broken("L1", f"message {m} is gone")
        self.recs = tuple(m for m in self.recs if has.get(m) == 2)

    def damaged(self):
        """The journal is lost with the power: what it held is given up."""
        self.powers -= 1
        self.link, self.s2c, self.part = DOWN, (), b""
        self.give_up()
        for m in range(len(self.out)):
            self.row(m, REP, 0)
        for k, row in enumerate(self.inn):
            if row[GIVEN]:
                self.row_in(k, GIVEN, 2, NUMBER, 0)

    # -- in the end ------------------------------------------------------------------------------

    def settled(self, facts):
        """Nothing more will happen: L1, L2 and L3."""
        session, used, todo, items, unsent = facts
        if used or todo or session[4] or unsent:
            raise Broken("L2", f"{used} places stay in use: {session[4]}")
        if session[5] or items:
            raise Broken("L3", f"QoS 2 ids {session[5]} and {items} messages stay")
        if self.srv and self.srv != ((), ()):
            raise Broken("L3", f"the server waits: {self.srv}")
        for m, row in enumerate(self.out):
            if row[ST] in (1, 2) and self.sc.out[m]:
                raise Broken("L1", f"message {m} is never finished: {row}")
            if row[ST] == 3 and not (row[OWNED] and row[TOLD]):
                raise Broken("L1", f"message {m} is lost: {row}")
        for k, row in enumerate(self.inn):
            if row[GIVEN] == 1 and not row[EFFECT]:
                raise Broken("S13", f"message {k} of the server is lost")
