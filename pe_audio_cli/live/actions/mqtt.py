"""The state of each label on an MQTT broker, where Home Assistant finds it by itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pe_audio_cli._extras import require_extra
from pe_audio_cli._paths import reason
from pe_audio_cli.errors import UsageError
from pe_audio_cli.live.actions.addresses import parse_target
from pe_audio_cli.live.actions.base import Failures, Notice

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

__all__ = ["Mqtt", "topic_level"]

PORTS = {"mqtt": 1883, "mqtts": 8883}
DISCOVERY = "homeassistant"  # where Home Assistant looks, unless it is told otherwise
KEEP_ALIVE = 30  # seconds, after which a broker that is gone is noticed
CONNECT_SECONDS = 5.0
LONGEST_PAUSE = 60  # seconds between two attempts to connect
SENT_SECONDS = 5.0  # for one message to be handed to the system
HASH_DIGITS = 8
LONGEST_LEVEL = 64  # characters of a topic's level


class Mqtt:
    """Publishes for each label whether it is heard, retained, and a description by which Home Assistant shows it.

    :class:`Topics` names the topics. All of them are published again after every connection, so that nothing is lost
    for long; while the broker is away or slow, only the latest message of each topic is kept. If the connection breaks,
    the broker itself says that nobody listens (last will). Labels that an earlier run listened for are removed.
    """

    def __init__(self, address: str) -> None:
        """Raises :class:`UsageError` for a faulty address, or if paho-mqtt is not installed. Connects to nothing."""
        self._target = parse_target(address, "--mqtt", tuple(PORTS))
        self._topics = Topics(unquote(self._target.path).strip("/"))
        require_extra("mqtt", "--mqtt")
        self.failures = Failures("--mqtt")
        self._place = self._target.place
        self._retained: dict[str, str] = {}  # the latest message of each topic
        self._outbox: dict[str, str] = {}  # those that the broker does not have yet
        self._changed = threading.Condition()
        self._is_connected = self._closed = False
        self._client = self._new_client()
        self._sender = threading.Thread(target=self._send, name="peaudio-mqtt", daemon=True)

    def begin(self, labels: Iterable[str], version: str) -> None:
        """Begin to connect, in the background. ``version`` is that of peaudio, which Home Assistant shows."""
        for label in labels:
            self._retained[self._topics.discovery(label)] = _json(self._topics.description(label, version))
            self._retained[self._topics.of(label, "state")] = "OFF"
        self._retained[self._topics.availability] = "online"
        self._client.connect_async(self._target.host, self._target.port or PORTS[self._target.scheme], KEEP_ALIVE)
        self._client.loop_start()
        self._sender.start()

    def notify(self, notice: Notice) -> None:
        """Have the label's state and event published."""
        label = notice.event.label
        self._publish(self._topics.of(label, "event"), _json(notice.fields()))
        if notice.kind != "clip":
            self._publish(self._topics.of(label, "state"), "ON" if notice.kind == "start" else "OFF")

    def close(self, timeout: float) -> None:
        """Publish what is left, and that nobody listens any more, for ``timeout`` seconds at most; then disconnect."""
        if self._sender.ident is None:  # it has never begun
            return
        deadline = time.monotonic() + timeout
        self._publish(self._topics.availability, "offline")
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._sender.join(max(deadline - time.monotonic(), 0))
        end = threading.Thread(target=self._disconnect, name="peaudio-mqtt-end", daemon=True)
        end.start()  # the library may wait longer than there is time
        end.join(max(deadline - time.monotonic(), 0))

    def _new_client(self) -> Client:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, f"peaudio-{secrets.token_hex(8)}", protocol=MQTTv311)
        client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, LONGEST_PAUSE)
        client.connect_timeout = CONNECT_SECONDS
        target = self._target
        if target.user is not None:
            client.username_pw_set(target.user, target.password)
        if target.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: Client, data: Any, flags: Any, answer: Any, properties: Any) -> None:
        if answer.is_failure:
            self.failures.failed(f"{self._place} refuses the connection: {answer}")
            return
        with self._changed:
            self._outbox = dict(self._retained)
            self._is_connected = True
            self._changed.notify_all()
        client.subscribe(self._topics.discovery())

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        error = sys.exc_info()[1]  # the library calls this while it handles the error, and does not pass it on
        why = "" if error is None else f": {reason(error)}"
        self.failures.failed(f"{self._place} cannot be reached{why}; it is tried again")

    def _on_disconnect(self, client: Client, data: Any, flags: Any, answer: Any, properties: Any) -> None:
        with self._changed:
            self._is_connected = False
            self._changed.notify_all()
        if not self._closed:
            self.failures.failed(f"the connection to {self._place} broke; it is made again")

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        """Remove a label of an earlier run, which Home Assistant would show for ever as it was then."""
        if not message.retain or not message.payload or message.topic in self._retained:
            return
        level = message.topic.split("/")[-2]
        with self._changed:
            for topic in (message.topic, self._topics.at(level, "state"), self._topics.at(level, "event")):
                self._outbox[topic] = ""
            self._changed.notify_all()

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, topic: str, message: str) -> None:
        with self._changed:
            self._retained[topic] = message
            if self._is_connected:
                self._outbox.pop(topic, None)  # the latest message goes last
                self._outbox[topic] = message
                self._changed.notify_all()

    def _send(self) -> None:
        """Send one message at a time, so that the library, whose queue has no end, never holds more than one.

        The quality of service is 0: what the library would repeat after a new connection could be older than what is
        published then. The last message is acknowledged: what the broker has not read when the connection is closed may
        be lost.
        """
        while (message := self._next_message()) is not None:
            is_last = message == (self._topics.availability, "offline")
            with contextlib.suppress(RuntimeError, ValueError):  # the connection broke: all is published again after it
                sent = self._client.publish(*message, qos=int(is_last), retain=True)
                while self._is_connected and not sent.is_published():
                    sent.wait_for_publish(SENT_SECONDS)
                self.failures.succeeded()

    def _next_message(self) -> tuple[str, str] | None:
        """Wait for the next topic and message; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._is_connected and self._outbox))
            if not (self._is_connected and self._outbox):
                return None
            topic = next(iter(self._outbox))
            return topic, self._outbox.pop(topic)


class Topics:
    """The topics of one listener.

    ``BASE/availability`` is ``online`` or ``offline``, ``BASE/LABEL/state`` is ``ON`` or ``OFF``, and
    ``BASE/LABEL/event`` is the label's latest event as JSON.
    """

    def __init__(self, base: str) -> None:
        """``base`` is ``peaudio/HOST`` if it is empty. Raises :class:`UsageError` if it is no topic."""
        if re.search(r"[+#\0]|^\$", base):
            raise UsageError("--mqtt: the path of the address, a topic, must not hold + or #, or begin with $")
        self.base = base or f"peaudio/{topic_level(platform.node().partition('.')[0])}"
        self.availability = f"{self.base}/availability"
        self._node = topic_level(self.base)

    def of(self, label: str, what: str) -> str:
        """The topic of a label's ``state`` or ``event``."""
        return self.at(topic_level(label), what)

    def at(self, level: str, what: str) -> str:
        """The topic of ``state`` or ``event`` of the label with this level."""
        return f"{self.base}/{level}/{what}"

    def discovery(self, label: str | None = None) -> str:
        """The topic of the label's description for Home Assistant; the pattern of all such topics for None."""
        level = "+" if label is None else topic_level(label)
        return f"{DISCOVERY}/binary_sensor/{self._node}/{level}/config"

    def description(self, label: str, version: str) -> dict[str, Any]:
        """The label as a binary sensor of Home Assistant's MQTT discovery."""
        return {
            "name": label,
            "unique_id": f"{self._node}_{topic_level(label)}",
            "device_class": "sound",
            "state_topic": self.of(label, "state"),
            "json_attributes_topic": self.of(label, "event"),
            "availability_topic": self.availability,
            "device": {
                "identifiers": [self._node],
                "name": self.base.replace("/", " "),
                "manufacturer": "peaudio",
                "sw_version": version,
            },
            "origin": {"name": "peaudio", "sw_version": version},
        }


def topic_level(text: str) -> str:
    """A name as a level of a topic and an identifier: ASCII letters, digits and ``_``.

    Spaces become ``_``. Where more is replaced, digits of a hash tell names apart.
    """
    level = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:LONGEST_LEVEL]
    if level and level.replace("_", " ") == text:
        return level
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    return f"{level}_{digits}" if level else digits


def _json(value: Any) -> str:
    return json.dumps(value)  # in ASCII, so that any label can be sent
