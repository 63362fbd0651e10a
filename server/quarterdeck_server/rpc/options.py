"""The options of the gRPC server.

gRPC ignores an option whose name it does not know, so tests/rpc/test_options.py proves each by what
it does. Sources: https://github.com/grpc/grpc/blob/master/doc/keepalive.md and
include/grpc/impl/channel_arg_names.h there.
"""

from __future__ import annotations

from quarterdeck_server.config import Settings

_MIB = 1024 * 1024
_SECOND = 1000

MAX_CONNECTION_AGE = 1800
"""Seconds after which a connection is told to go; watches end themselves before."""


def max_message_bytes(settings: Settings) -> int:
    """The largest request that is read.

    Several times the largest payload, so that one that is over its limit is refused with its size
    and not by gRPC.
    """
    return max(16 * _MIB, 4 * settings.max_payload_bytes)


def server_options(settings: Settings) -> list[tuple[str, int]]:
    """Options for `grpc.aio.server`."""
    size = max_message_bytes(settings)
    return [
        # A second server on the port must fail, not share it.
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", 4096),
        ("grpc.max_receive_message_length", size),
        ("grpc.max_send_message_length", size),
        ("grpc.max_metadata_size", 16_384),
        ("grpc.keepalive_time_ms", 60 * _SECOND),
        ("grpc.keepalive_timeout_ms", 20 * _SECOND),
        # What really bounds an unanswered ping in grpcio 1.78: without it that is a minute.
        ("grpc.http2.ping_timeout_ms", 20 * _SECOND),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients ping every 30 s; the least that is allowed must be well below.
        ("grpc.http2.min_ping_interval_without_data_ms", 10 * _SECOND),
        ("grpc.http2.max_ping_strikes", 3),
        ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE * _SECOND),
        # A watch that began late in the life of its connection ends itself within this.
        ("grpc.max_connection_age_grace_ms", MAX_CONNECTION_AGE * _SECOND),
        ("grpc.max_connection_idle_ms", 600 * _SECOND),
    ]
