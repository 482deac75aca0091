"""RabbitMQ 4, which speaks 5.0, from a later release of Debian than that of the machine."""

from . import debian, rabbitmq


class Broker(rabbitmq.Broker):
    name = "rabbitmq_4"
    title = "RabbitMQ 4"
    versions = (4, 5)

    def fetch(self):
        self.tree, version = debian.fetch_release(
            self.cache, self.name, ["rabbitmq-server"], "trixie", "usr/lib/erlang/**/bin/*"
        )
        return version
