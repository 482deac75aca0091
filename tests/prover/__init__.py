"""The proof of the durable session: every interleaving and every cut within small bounds.

The real client, table, store and inbox run against a small server model; what happens is taken
apart and put together again in every order. Nothing here is random and nothing waits.

  flash.py       files that lose their unflushed tail when power is cut
  reading.py     what a journal says, read by other code than the client's
  rooms.py       the client's modules, and how their source is changed for a while
  device.py      the client and what it sees of the world
  machine.py     runs one step of the real code from any state, records all it does
  audit.py       what can be said of one step alone (S5, S9, S10, S14, S17, S18)
  server.py      the server's session, from the standards
  books.py       ghost counters and the invariants over them (S1 to S19)
  explore.py     every order of steps, link cuts, power cuts and session losses (L1 to L3)
  scenarios.py   what is explored, and with which bounds
  damage.py      journals with flipped bits; the cap on open ids
  faults.py      faults built in on purpose, those of MQTT 5.0 in faults5.py; mutations.py tries
                 them: each must be caught
  report.py      runs all of it in several processes, and tells

How it stays finite. A step of the client depends on its RAM, on its flash and on what it is given,
and on nothing else: so each is run once and remembered, and the states of server, network and
counters are combined with it. Where power is cut within a step needs no second run either: the
step's record says what flash and wire held at each moment. Two states of the client are one when
all that is alive in them is equal; dead bytes (buffers between packets, free slots) are not
compared, but filled with rubbish before each step, so that code which reads them goes wrong. Two
journals are one when they say the same; where the size of the file matters, that counts, too.

Not explored: packets that come in two reads (but for one that is cut off), streams, calls that
wait (publish() with an answer, but subscribe() is), keepalive, adopt=True, the asyncio client, the
outbox in the journal, the store for deep sleep. They have tests of their own.

With version=5 a scenario is one of MQTT 5.0: the real v5.py, store5.py ... and a server that may
announce a Receive Maximum, refuse messages, and lose its session, with which they are to be given
up. Not explored there: topic aliases, messages that expire, what a new connection does not permit.
"""
