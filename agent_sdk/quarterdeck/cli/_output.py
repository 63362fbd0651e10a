"""One answer, printed the way the user asked for."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import click
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Format
from quarterdeck.v1 import status_pb2


def emit(output: Format, message: Message | dict[str, Any], table: Callable[[], None]) -> None:
    """Prints an answer as JSON or YAML, or what `table` prints.

    Args:
        output: What the user asked for.
        message: The answer, or the answers of several calls put together.
        table: Prints the answer for people.
    """
    if output is Format.TABLE:
        table()
        return
    value = as_dict(message) if isinstance(message, Message) else message
    if output is Format.JSON:
        # ASCII only: what an agent wrote cannot reach the terminal as a control character.
        click.echo(json.dumps(value, indent=2))
    else:
        _emit_yaml(value)


def emit_item(output: Format, message: Message, table: Callable[[], None]) -> None:
    """Prints one message of a stream: JSON on a line of its own, or a YAML document."""
    if output is Format.TABLE:
        table()
    elif output is Format.JSON:
        click.echo(json.dumps(as_dict(message), separators=(",", ":")))
    else:
        _emit_yaml(as_dict(message), many=True)


def as_dict(message: Message) -> dict[str, Any]:
    """The message by protobuf's JSON mapping, with the field names of the .proto files.

    Fields without presence are there even when they are empty, so that scripts may rely on them.
    """
    return MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        descriptor_pool=_error_details(),
    )


@functools.cache
def _error_details() -> DescriptorPool:
    """Descriptors of the error details under the names that they are packed with, google.rpc's."""
    ours = FileDescriptorProto()
    status_pb2.DESCRIPTOR.CopyToProto(ours)
    ours.package = "google.rpc"
    for message in ours.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(".quarterdeck.v1.", ".google.rpc.")
    pool = DescriptorPool()
    for known in (any_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.AddSerializedFile(ours.SerializeToString())
    return pool


def _emit_yaml(value: Any, *, many: bool = False) -> None:
    try:
        import yaml
    except ImportError as error:
        raise CommandError(
            "`-o yaml` needs PyYAML", ExitCode.USAGE, hint="pip install 'quarterdeck[yaml]'"
        ) from error
    # Error details come as OrderedDict, which PyYAML's safe dumper does not know.
    plain = json.loads(json.dumps(value))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=False, explicit_start=many)
    click.echo(text, nl=False)
