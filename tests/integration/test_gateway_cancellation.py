"""A caller that leaves takes its upstream calls along, through a real gateway."""

from __future__ import annotations

import asyncio

import pytest
from grpc import aio

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.health import HealthServicer
from tests.gateways import EMBEDDER, INDEX
from tests.running_gateway import TIMEOUT_S, Start
from tests.upstream_services import fake_services, serving


async def test_caller_who_leaves_ends_the_embedders_work_unless_another_waits(
    start_service: Start,
) -> None:
    services, health = fake_services(), HealthServicer()
    health.set_ready(EMBEDDER, True)
    health.set_ready(INDEX, True)
    async with serving(services, health) as target:
        gateway = await asyncio.to_thread(
            start_service, "gateway", embedder=target, index=target, lineage_check_s=3600
        )
        async with aio.insecure_channel(gateway.address) as channel, asyncio.timeout(TIMEOUT_S):
            stub = GatewayServiceStub(channel)
            request = pb.ClassifyImageRequest(image=b"photo")
            await stub.ClassifyImage(request)  # connected, and the labels are known
            services.hang, services.hanging_method = True, "EmbedImage"
            request = pb.ClassifyImageRequest(image=b"another photo")
            services.arrived.clear()
            first, second = stub.ClassifyImage(request), stub.ClassifyImage(request)
            await services.arrived.wait()
            while (await stub.GetStatus(pb.GetStatusRequest())).cache.coalesced == 0:
                pass  # until the second waits with the first
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await stub.GetStatus(pb.GetStatusRequest())
            assert not services.left.is_set(), "somebody waits for it still"
            second.cancel()
            await services.left.wait()
