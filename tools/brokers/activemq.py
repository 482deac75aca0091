"""ActiveMQ (Classic): TCP and TLS. WebSocket needs a web server that Debian does not package."""

import contextlib
import shutil

import certs

from . import common, debian

_XML = """\
<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
    http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
    http://activemq.apache.org/schema/core
    http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="interop"
      persistent="false" schedulePeriodForDestinationPurge="0" dataDirectory="{here}/data">
    <plugins>
      <simpleAuthenticationPlugin>
        <users>
          <authenticationUser username="user" password="pass" groups="users,admins"/>
        </users>
      </simpleAuthenticationPlugin>
    </plugins>
    <sslContext>
      <sslContext keyStore="file:{here}/pair.p12" keyStorePassword="interop"
        keyStoreType="PKCS12"/>
    </sslContext>
    <transportConnectors>
      <transportConnector name="mqtt" uri="mqtt://{host}:{tcp}"/>
      <transportConnector name="mqtts" uri="mqtt+ssl://{host}:{tls}"/>
    </transportConnectors>
  </broker>
</beans>
"""
# without these no client ever gets an answer
_JARS = ("mqtt-client", "hawtbuf", "hawtdispatch", "hawtdispatch-transport")


class Broker(common.Broker):
    name = "activemq"
    title = "ActiveMQ"

    def fetch(self):
        if not shutil.which("java"):
            raise common.Unavailable("no java here")
        packages = ["activemq", "libmqtt-client-java", "libhawtdispatch-java"]
        self.tree, version = debian.fetch(self.cache, self.name, packages)
        return version

    def start(self):
        here = self.directory
        tcp, tls = common.free_ports(2)
        for name in ("conf", "data", "lib", "lib/optional"):
            (here / name).mkdir()
        # The package's links lead to jars, some of which may be the machine's own.
        home = self.tree.find("usr/share/activemq/bin/activemq.jar").parents[1]
        jars = [f"lib/{jar}.jar" for jar in _JARS]
        jars += [str(x.relative_to(home)) for x in home.glob("lib/**/*.jar")]
        for jar in sorted(set(jars)):
            link = home / jar
            name = link.readlink().name if link.is_symlink() else link.name
            with contextlib.suppress(common.Unavailable):
                (here / jar).symlink_to(self.tree.find(f"usr/share/java/{name}"))
        pair = [f"{self.certificates}/server.crt", "-inkey", f"{self.certificates}/server.key"]
        common.command_output(
            [certs.find_openssl(), "pkcs12", "-export", "-in", *pair]
            + ["-out", here / "pair.p12", "-passout", "pass:interop"]
        )
        config = here / "conf" / "activemq.xml"
        config.write_text(_XML.format(here=here, host=common.HOST, tcp=tcp, tls=tls))
        places = {"home": here, "base": here, "conf": here / "conf", "data": here / "data"}
        command = ["java", "-Xmx256m", *(f"-Dactivemq.{k}={v}" for k, v in places.items())]
        command += ["-jar", home / "bin" / "activemq.jar", "start", f"xbean:file:{config}"]
        self.run(command, [tcp], cwd=here)
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        ca = {"CA": self.certificates / "ca.der"}
        return [
            common.Endpoint("TCP", f"mqtt://{common.HOST}:{tcp}", (4,), **login),
            common.Endpoint("TLS", f"mqtts://localhost:{tls}", (4,), **login, **ca),
        ]
