from .client import MQTTClient as MQTTClient
from .protocol import MQTTException as MQTTException

__version__: str
