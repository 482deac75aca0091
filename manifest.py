# Freezes umqtt_plus: include("path/to/umqtt_plus/manifest.py") in your board's manifest.
metadata(version="0.1.0", description="MQTT client that allocates nothing in steady state")
package("umqtt_plus", opt=3)
