"""When the server refuses, or breaks the protocol. Loaded when somebody names or raises that."""


class MQTTException(Exception):
    """The server refused or broke the protocol. args[0] is the reason code, str() explains it.

    1 to 5 from CONNACK, 0x80 from SUBACK; 0x82 protocol error, 0x95 packet too large, 0x97 no
    room: those closed the connection.
    """

    def __str__(self):
        from .reasons import explain

        return explain(*self.args)
