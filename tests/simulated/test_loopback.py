from __future__ import annotations

import socket

import pytest

from corral.simulated.loopback import LOOPBACK, bind


def test_a_free_port_is_taken_on_loopback_alone():
    with bind(0) as listening:
        address, port = listening.getsockname()
        assert address == LOOPBACK
        assert port > 0
        assert listening.proto == socket.IPPROTO_TCP


def test_a_port_that_somebody_has_is_not_taken():
    with bind(0) as listening, pytest.raises(OSError, match="in use"):
        bind(listening.getsockname()[1])
