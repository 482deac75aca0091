from .client import MQTTClient as MQTTClient
from .errors import MQTTException as MQTTException

__version__: str
