#!/usr/bin/env python3
"""Tests of a LoRaWAN device, over gatewayd's Management API: run them with
pytest, or without it:

    GATEWAYD=http://127.0.0.1:8080 GATEWAYD_TOKEN=… python3 test_device.py

The gateway wants lab.enabled in its configuration, and a key that may do that:
gatewayd key create --name bench --rights keys. Each verb of docs/lab.md is one
POST. DEVICE is what the verb "device" takes, as JSON: the keys of your device;
without it a virtual one is tested. It needs nothing but Python 3.8.
"""
import json
import os
import sys
import urllib.error
import urllib.request

GATEWAYD = os.environ.get("GATEWAYD", "http://127.0.0.1:8080")
TOKEN = os.environ.get("GATEWAYD_TOKEN", "")
DEVICE = json.loads(os.environ.get("DEVICE", '{"virtual": "healthy"}'))


class Bench:
    """Calls verbs as methods: Bench().expect_uplink(port=1)["fcnt"]."""

    def __getattr__(self, verb):
        def call(**arguments):
            request = urllib.request.Request(
                GATEWAYD + "/api/v1.0/lab/verbs/" + verb,
                json.dumps(arguments).encode(),
                {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)["result"]
            except urllib.error.HTTPError as error:
                problem = json.load(error)
                if error.code == 422:  # the device did not do what was expected
                    raise AssertionError(problem["message"]) from None
                raise RuntimeError("%d: %s" % (error.code, problem["message"])) from None

        return call


def device(**settings):
    """A bench on which the device under test stands, and has joined."""
    bench = Bench()
    bench.disarm()
    bench.device(**DEVICE, **settings)
    bench.expect_session(within=120)
    return bench


def test_acknowledgement():
    bench = device()
    probe = bench.probe()  # a confirmed downlink after the next uplink
    assert probe["off"] == 0, "it started %d µs off" % probe["off"]
    assert probe["acked"], "no acknowledgement of a frame in " + probe["window"]


def test_tampered_downlink():
    bench = device()
    bench.fault(kind="mic", direction="down", frame="confirmed")
    assert not bench.probe()["acked"], "it acknowledged a frame whose MIC is wrong"


def main(wanted):
    failed = 0
    for name in wanted or sorted(n for n in globals() if n.startswith("test_")):
        try:
            globals()[name]()
            print("passed", name)
        except AssertionError as why:
            print("failed", name, why)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
