"""Server reflection, by the name of today and by the one before it.

Newer tools ask `grpc.reflection.v1` first, and grpcio-reflection serves `v1alpha` alone. Both have
the same messages under other names, so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha import reflection_pb2_grpc as v1alpha

SERVICE_NAME = "grpc.reflection.v1.ServerReflection"
_FILE = "grpc/reflection/v1/reflection.proto"
_METHOD = "ServerReflectionInfo"


def add_reflection(names: Iterable[str], server: aio.Server) -> None:
    """Adds reflection under both names, which lists these services and itself."""
    _describe()
    servicer = reflection.aio.ReflectionServicer([*names, SERVICE_NAME, reflection.SERVICE_NAME])
    v1alpha.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE_NAME, {_METHOD: handler}),)
    )


def _describe() -> None:
    """Adds the service's own description to the pool, for tools that ask for every service's."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_FILE)
    except KeyError:
        proto = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(proto)
        package = SERVICE_NAME.rpartition(".")[0]
        renamed = text_format.MessageToString(proto).replace(proto.package, package)
        file = text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto())
        file.name = _FILE
        pool.Add(file)
