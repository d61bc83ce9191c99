"""MQTT: what a broker and Home Assistant get to know, brokers that go, come back, refuse, hang or talk nonsense."""

from __future__ import annotations

import json
import platform
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("paho.mqtt", reason="NO MQTT: paho-mqtt is not installed")

from live.actions.brokers import Mosquitto, SmallBroker, mosquitto, serving
from live.actions.heard import ODD_LABELS, eventually, notice, warnings

from pe_audio_cli.errors import UsageError
from pe_audio_cli.live.actions.mqtt import Mqtt, topic_level

LABELS = ("a dog barking", "a smoke alarm")


@pytest.fixture(params=["mosquitto", "small"])
def broker(request: pytest.FixtureRequest) -> Iterator[Mosquitto | SmallBroker]:
    with mosquitto() if request.param == "mosquitto" else serving(SmallBroker()) as served:
        yield served


def begun(address: str, labels: tuple[str, ...], version: str = "1") -> Mqtt:
    mqtt = Mqtt(address)
    mqtt.begin(labels, version)
    return mqtt


def connected(broker: Mosquitto | SmallBroker, path: str = "/home/nursery", labels: tuple[str, ...] = LABELS) -> Mqtt:
    mqtt = begun(f"mqtt://127.0.0.1:{broker.port}{path}", labels, "1.2.3")
    assert eventually(lambda: mqtt._is_connected and not mqtt._outbox)
    return mqtt


def test_home_assistant_finds_each_label(broker: Mosquitto | SmallBroker) -> None:
    mqtt = connected(broker)
    assert eventually(lambda: len(broker.retained) == 5)
    assert broker.retained["home/nursery/availability"] == "online"
    assert broker.retained["home/nursery/a_dog_barking/state"] == "OFF"
    assert broker.retained["home/nursery/a_smoke_alarm/state"] == "OFF"
    retained = broker.retained
    described = {topic: json.loads(retained[topic]) for topic in retained if topic.startswith("homeassistant/")}
    for topic in described:
        assert re.fullmatch(r"homeassistant/binary_sensor/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/config", topic)
    by_name = {each["name"]: each for each in described.values()}
    assert by_name.keys() == set(LABELS)
    dog = by_name["a dog barking"]
    assert (dog["state_topic"], dog["availability_topic"], dog["json_attributes_topic"]) == (
        "home/nursery/a_dog_barking/state",
        "home/nursery/availability",
        "home/nursery/a_dog_barking/event",
    )
    assert dog["device_class"] == "sound"
    assert (dog["device"]["name"], dog["device"]["sw_version"]) == ("home nursery", "1.2.3")
    assert len({each["unique_id"] for each in by_name.values()}) == 2
    assert len({json.dumps(each["device"]) for each in by_name.values()}) == 1
    mqtt.close(30)


def test_states_and_events_are_published_and_kept(broker: Mosquitto | SmallBroker) -> None:
    mqtt = connected(broker)
    mqtt.notify(notice("start"))
    assert eventually(lambda: broker.retained.get("home/nursery/a_dog_barking/state") == "ON")
    assert json.loads(broker.retained["home/nursery/a_dog_barking/event"]) == notice("start").fields()
    mqtt.notify(notice("end"))
    assert eventually(lambda: broker.retained["home/nursery/a_dog_barking/state"] == "OFF")
    mqtt.notify(notice("clip", clip="x.flac"))
    mqtt.notify(notice("start", "a smoke alarm"))
    before = time.monotonic()
    mqtt.close(30)
    assert time.monotonic() - before < 15
    assert json.loads(broker.retained["home/nursery/a_dog_barking/event"])["clip"] == "x.flac"
    assert broker.retained["home/nursery/a_smoke_alarm/state"] == "ON"
    assert broker.retained["home/nursery/availability"] == "offline"
    states = [message for topic, message, _ in broker.published if topic == "home/nursery/a_dog_barking/state"]
    assert states == ["OFF", "ON", "OFF"]


def test_labels_of_an_earlier_run_are_removed_and_those_of_other_listeners_stay(
    broker: Mosquitto | SmallBroker,
) -> None:
    for path in ("/home/nursery", "/home/cellar"):
        connected(broker, path).close(30)
    assert eventually(lambda: len(broker.retained) == 10)
    mqtt = connected(broker, labels=("a smoke alarm", "rain"))
    mqtt.notify(notice("start", "rain"))
    assert eventually(lambda: not any("nursery" in topic and "dog" in topic for topic in broker.retained))
    mqtt.close(30)
    ours = {topic: text for topic, text in broker.retained.items() if "nursery" in topic}
    names = {json.loads(text)["name"] for topic, text in ours.items() if topic.endswith("/config")}
    assert names == {"a smoke alarm", "rain"}
    assert {topic for topic in ours if not topic.endswith("/config")} == {
        "home/nursery/availability",
        "home/nursery/a_smoke_alarm/state",
        "home/nursery/rain/state",
        "home/nursery/rain/event",
    }
    assert len(broker.retained) == 6 + 5


def test_the_broker_says_that_nobody_listens_when_the_connection_breaks(broker: Mosquitto | SmallBroker) -> None:
    """As when the machine loses its power: the socket is shut, without a farewell."""
    mqtt = connected(broker)
    client_socket = mqtt._client.socket()
    assert client_socket is not None
    with warnings() as told:
        client_socket.shutdown(socket.SHUT_RDWR)
        assert eventually(lambda: ("home/nursery/availability", "offline") in {each[:2] for each in broker.published})
        mqtt.notify(notice("start"))
        assert eventually(lambda: broker.retained.get("home/nursery/a_dog_barking/state") == "ON")
        assert broker.retained["home/nursery/availability"] == "online"
        mqtt.close(30)
    assert len(told) == 1
    assert f"the connection to 127.0.0.1:{broker.port} broke" in told[0]


def test_a_broker_that_was_away_gets_the_latest_of_everything() -> None:
    with warnings() as told:
        with serving(SmallBroker()) as first:
            mqtt = connected(first)
        for kind in ("start", "end", "start"):
            mqtt.notify(notice(kind, "a smoke alarm"))
        assert eventually(lambda: told)
        with serving(SmallBroker(port=first.port)) as second:
            assert eventually(lambda: len(second.retained) == 6)
            assert second.retained["home/nursery/a_smoke_alarm/state"] == "ON"
            assert second.retained["home/nursery/a_dog_barking/state"] == "OFF"
            assert second.retained["home/nursery/availability"] == "online"
            assert len(second.published) == 6  # nothing older is repeated
            mqtt.close(30)
            assert second.retained["home/nursery/availability"] == "offline"
    assert len(told) == 1


def test_a_broker_that_is_not_there_is_one_warning_until_it_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with warnings() as told:
        mqtt = begun(f"mqtt://127.0.0.1:{port}/x", LABELS)
        assert eventually(lambda: mqtt.failures._n_in_streak >= 2)
        with serving(SmallBroker(port=port)) as broker:
            assert eventually(lambda: len(broker.retained) == 5)
            mqtt.close(30)
    assert len(told) == 1
    assert told[0].startswith(f"--mqtt: 127.0.0.1:{port} cannot be reached: Connection refused")


def test_user_and_password_are_sent_and_never_told() -> None:
    with serving(SmallBroker(user=("me", "p@ss/word"))) as broker:
        mqtt = begun(f"mqtt://me:p%40ss%2Fword@127.0.0.1:{broker.port}", LABELS)
        assert eventually(lambda: len(broker.retained) == 5)
        mqtt.close(30)
        with warnings() as told:
            mqtt = begun(f"mqtt://me:wrong-word@127.0.0.1:{broker.port}", LABELS)
            assert eventually(lambda: told)
            mqtt.close(1)
    assert len(told) == 1
    assert told[0].startswith(f"--mqtt: 127.0.0.1:{broker.port} refuses the connection: Not authorized")
    assert "word" not in told[0]


def test_without_a_path_topics_are_those_of_the_machine() -> None:
    with serving(SmallBroker()) as broker:
        mqtt = connected(broker, path="")
        host = topic_level(platform.node().partition(".")[0])
        assert eventually(lambda: f"peaudio/{host}/availability" in broker.retained)
        mqtt.close(30)


def test_any_label_has_a_topic_of_its_own(broker: Mosquitto | SmallBroker) -> None:
    labels = (*ODD_LABELS, "a dog", "a-dog", "a_dog", "A dog", "a  dog", "a dog ")
    mqtt = connected(broker, labels=labels)
    for label in labels:
        mqtt.notify(notice("start", label))
    mqtt.close(60)
    states = {topic: text for topic, text in broker.retained.items() if topic.endswith("/state")}
    assert len(states) == len(labels)
    assert set(states.values()) == {"ON"}
    events = [json.loads(text) for topic, text in broker.retained.items() if topic.endswith("/event")]
    assert {event["label"] for event in events} == set(labels)
    names = [json.loads(text)["name"] for topic, text in broker.retained.items() if topic.startswith("homeassistant/")]
    assert set(names) == set(labels)


def test_a_burst_of_thousands_ends_in_the_right_state_and_makes_nobody_wait(broker: Mosquitto | SmallBroker) -> None:
    mqtt = connected(broker)
    before = time.thread_time()
    for number in range(5_000):
        mqtt.notify(notice(("start", "end")[number % 2], LABELS[number % 3 % 2]))
    mqtt.notify(notice("start", LABELS[0]))
    assert time.thread_time() - before < 5
    mqtt.close(60)
    assert broker.retained["home/nursery/a_dog_barking/state"] == "ON"
    assert broker.retained["home/nursery/availability"] == "offline"


def test_a_broker_that_hangs_fills_no_memory_and_does_not_delay_the_end() -> None:
    """It accepts, and then reads nothing: nothing can be sent, and what waits is one message for each topic."""
    with serving(SmallBroker(deaf=True)) as broker:
        mqtt = begun(f"mqtt://127.0.0.1:{broker.port}", LABELS)
        assert eventually(lambda: broker.connections)
        for _ in range(5_000):
            mqtt.notify(notice("start"))
        assert len(mqtt._retained) == 6
        assert len(mqtt._client._out_packet) <= 1
        before = time.monotonic()
        mqtt.close(0.3)
        assert time.monotonic() - before < 5


def test_a_broker_that_stops_reading_holds_one_message() -> None:
    """A connection that was welcomed, and whose buffers are full."""
    stop = threading.Event()

    class Stopping(SmallBroker):
        def serve(self, connection: socket.socket) -> None:
            connection.recv(1 << 16)
            connection.sendall(bytes([0x20, 2, 0, 0]))
            stop.wait(60)

    labels = tuple(f"{'x' * 200} {number}" for number in range(20_000))  # 15 MB of descriptions
    with serving(Stopping()) as broker:
        mqtt = begun(f"mqtt://127.0.0.1:{broker.port}", labels)
        assert eventually(lambda: mqtt._is_connected and len(mqtt._outbox) < len(mqtt._retained))
        time.sleep(0.5)
        assert len(mqtt._client._out_packet) <= 2
        before = time.monotonic()
        mqtt.close(0.3)
        assert time.monotonic() - before < 5
        stop.set()


@pytest.mark.parametrize(
    "junk",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x00", b"\x20\x02\x00\xff", b"\xff" * 50, b"\x30\x01\x00"],
    ids=["http", "an empty answer", "an unknown answer", "bytes", "a message without a topic"],
)
def test_what_is_no_broker_is_one_warning_and_is_tried_again(junk: bytes) -> None:
    n_connections = []

    class Junk(SmallBroker):
        def serve(self, connection: socket.socket) -> None:
            n_connections.append(connection)
            connection.recv(1 << 16)
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_RDWR)

    with serving(Junk()) as broker, warnings() as told:
        mqtt = begun(f"mqtt://127.0.0.1:{broker.port}", LABELS)
        assert eventually(lambda: len(n_connections) >= 2)
        mqtt.close(1)
    assert len(told) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves that socket open
def test_a_broker_without_tls_is_one_warning() -> None:
    with serving(SmallBroker()) as broker, warnings() as told:
        mqtt = begun(f"mqtts://127.0.0.1:{broker.port}", LABELS)
        time.sleep(0.2)
        broker.drop()
        assert eventually(lambda: told)
        mqtt.close(1)
    assert len(told) == 1
    assert broker.published == []


@pytest.mark.parametrize(
    "address",
    ["http://host", "mqtt://", "host", "mqtt://host:x", "mqtt://host/a/+/b", "mqtt://host/%23", "mqtt://host/$SYS"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--mqtt: "):
        Mqtt(address)


def test_one_that_never_began_ends_at_once() -> None:
    Mqtt("mqtt://127.0.0.1:1").close(60)
