"""MQTT brokers for tests: a small one of our own, and mosquitto where it is installed."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from live.actions.heard import eventually

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
NOT_AUTHORIZED = 5


@dataclass
class SmallBroker:
    """As much of MQTT 3.1.1 as a publisher sees: it keeps what is retained, and publishes last wills.

    A subscriber gets what is retained when it subscribes, and no more.

    ``published`` are all messages as (topic, message, retain), in order. ``user`` is who may connect, with a password.
    A broker that is ``deaf`` accepts connections and reads nothing.
    """

    user: tuple[str, str] | None = None
    deaf: bool = False
    port: int = 0
    published: list[tuple[str, str, bool]] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def retained(self) -> dict[str, str]:
        """The latest retained message of each topic."""
        latest = {topic: message for topic, message, retain in list(self.published) if retain}
        return {topic: message for topic, message in latest.items() if message}

    def drop(self) -> None:
        """Break all connections."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """One client, until it leaves."""
        if self.deaf:
            return
        will = None
        with contextlib.suppress(OSError, EOFError), connection.makefile("rb") as stream:
            while (packet := read_packet(stream))[0] != DISCONNECT:
                kind, flags, body = packet
                if kind == CONNECT:
                    will, welcome = self.welcome(body)
                    connection.sendall(bytes([CONNACK << 4, 2, 0, 0 if welcome else NOT_AUTHORIZED]))
                elif kind == PUBLISH:
                    topic, message, number = published(flags, body)
                    self.published.append((topic, message, bool(flags & 1)))
                    if number is not None:
                        connection.sendall(bytes([PUBACK << 4, 2]) + number)
                elif kind == SUBSCRIBE:
                    connection.sendall(bytes([SUBACK << 4, 3]) + body[:2] + b"\0" + self.kept(body[4:-1].decode()))
                elif kind == PINGREQ:
                    connection.sendall(bytes([PINGRESP << 4, 0]))
                else:
                    raise EOFError  # that is no MQTT
            will = None
        if will is not None:
            self.published.append(will)

    def kept(self, pattern: str) -> bytes:
        """The retained messages whose topics match, as they are sent to a new subscriber."""
        packets = b""
        for topic, message in self.retained.items():
            if re.fullmatch(pattern.replace("+", "[^/]+"), topic):
                body = struct.pack(">H", len(topic)) + topic.encode() + message.encode()
                size = bytes([len(body) % 128 | 0x80, len(body) // 128])  # from 128 bytes to 16 KiB
                packets += bytes([PUBLISH << 4 | 1]) + size + body
        return packets

    def welcome(self, body: bytes) -> tuple[tuple[str, str, bool] | None, bool]:
        """The last will of a client that connects, and whether it may."""
        if body[:7] != b"\x00\x04MQTT\x04":  # MQTT 3.1.1
            raise EOFError
        flags, rest = body[7], body[10:]
        texts = []
        while rest:
            size = int.from_bytes(rest[:2], "big")
            texts.append(rest[2 : 2 + size].decode())
            rest = rest[2 + size :]
        self.clients.append(texts.pop(0))
        will = (texts.pop(0), texts.pop(0), bool(flags & 0x20)) if flags & 0x04 else None
        may = self.user is None or tuple(texts) == self.user
        return (will if may else None), may


def read_packet(stream) -> tuple[int, int, bytes]:
    head = stream.read(1)
    size, shift, byte = 0, 0, 0x80
    while head and byte & 0x80:
        byte = (stream.read(1) or b"\0")[0]
        size |= (byte & 0x7F) << shift
        shift += 7
    body = stream.read(size)
    if not head or len(body) < size:
        raise EOFError
    return head[0] >> 4, head[0] & 15, body


def published(flags: int, body: bytes) -> tuple[str, str, bytes | None]:
    (size,) = struct.unpack(">H", body[:2])
    topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
    number = None
    if flags & 0x06:
        number, rest = rest[:2], rest[2:]
    return topic, rest.decode(), number


@contextlib.contextmanager
def serving(broker: SmallBroker) -> Iterator[SmallBroker]:
    with socket.create_server(("127.0.0.1", broker.port)) as listening:
        broker.port = listening.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    broker.connections.append(connection)
                    threading.Thread(target=attempt, args=(connection,), daemon=True).start()

        def attempt(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):  # the other side may be gone
                broker.serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield broker
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            broker.drop()
            for connection in broker.connections:
                connection.close()


@dataclass
class Mosquitto:
    """The real thing; ``published`` is what a subscriber to everything receives."""

    port: int
    published: list[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def retained(self) -> dict[str, str]:
        """What a new subscriber is sent: the retained message of each topic."""
        received: list[tuple[str, str, bool]] = []
        with subscribed(self.port, received, until="test/end"):
            pass
        return {topic: message for topic, message, retain in received if retain}


@contextlib.contextmanager
def mosquitto() -> Iterator[Mosquitto]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin")
    if program is None:
        pytest.skip("NO BROKER: mosquitto is not installed: apt-get install mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: is_open(port))
            broker = Mosquitto(port)
            with subscribed(port, broker.published):
                yield broker
        finally:
            process.terminate()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def subscribed(port: int, received: list[tuple[str, str, bool]], until: str | None = None) -> Iterator[None]:
    """Receive everything meanwhile; at the end, whatever was published before."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    ready, end = threading.Event(), threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *arguments: ready.set()

    def note(client: object, data: object, message) -> None:
        if message.topic == f"test/end/{id(received)}":
            end.set()
        else:
            received.append((message.topic, message.payload.decode(), message.retain))

    client.on_message = note
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("#")
    assert ready.wait(30)
    try:
        yield
    finally:
        client.publish(f"test/end/{id(received)}", "")
        assert end.wait(30)
        client.disconnect()
        client.loop_stop()
