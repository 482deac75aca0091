from .errors import MQTTException

class SessionLost(MQTTException):
    # 0xFF, and (packet_id, PUBREC had come) of the messages that have arrived or not
    args: tuple[int, list[tuple[int, bool]]]
