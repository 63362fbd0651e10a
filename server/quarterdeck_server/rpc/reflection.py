"""What server reflection tells: the API as its JSON looks, and the details of errors.

Generated Python code leaves out the JSON names of fields, without which grpcurl would print other names than the
JSON mapping of protobuf prescribes; and the details of errors travel under the names of google.rpc, which the API
itself does not define. Both are added in a pool of descriptors that serves reflection alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from quarterdeck.v1 import status_pb2

_OWN: Final = ".quarterdeck.v1."
_GOOGLE: Final = ".google.rpc."


def reflection_pool(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """A pool with these files, what they import, and the messages of errors under Google's names."""
    pool = DescriptorPool()
    added: set[str] = set()
    for file in files:
        _add(pool, file, added)
    _add(pool, status_pb2.DESCRIPTOR, added)
    pool.AddSerializedFile(_google_rpc().SerializeToString())
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, added)
    proto = FileDescriptorProto.FromString(file.serialized_pb)
    _name_fields(proto.message_type)
    pool.AddSerializedFile(proto.SerializeToString())


def _google_rpc() -> FileDescriptorProto:
    """status.proto under Google's names; its messages have the same bytes."""
    proto = FileDescriptorProto.FromString(status_pb2.DESCRIPTOR.serialized_pb)
    proto.name = "google/rpc/quarterdeck_status.proto"
    proto.package = _GOOGLE.strip(".")
    _name_fields(proto.message_type)
    for message in proto.message_type:
        for field in message.field:
            if field.type_name.startswith(_OWN):
                field.type_name = _GOOGLE + field.type_name.removeprefix(_OWN)
    return proto


def _name_fields(messages: Iterable[DescriptorProto]) -> None:
    for message in messages:
        _name_fields(message.nested_type)
        for field in message.field:
            first, *rest = field.name.split("_")
            field.json_name = first + "".join(part[:1].upper() + part[1:] for part in rest)
