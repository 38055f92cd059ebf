"""Checks a server's health: `python -m lookalike.serving.healthcheck HOST:PORT [SERVICE]`.

For a container's health check. Exit status 0 if the answer is SERVING, else 1 and a message.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_S = 5


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if not arguments:
        print(__doc__, file=sys.stderr)  # noqa: T201  a command line
        return 2
    target, service, *_ = [*arguments, ""]
    request = health_pb2.HealthCheckRequest(service=service)
    with grpc.insecure_channel(target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            print(f"{target}: {error}", file=sys.stderr)  # noqa: T201
            return 1
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        print(f"{target}: {service or 'server'} is not serving", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
