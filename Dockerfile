# The services' images, and that of the training pipeline, a target each. `make images` builds them:
#   docker build --target gateway --build-arg VERSION=… --build-arg REVISION=… -t lookalike-gateway .
# A builder installs what is pinned into a virtual environment; an image is an empty one that gets
# the least of a system, the environment, and the service.

ARG BASE=python:3.11-slim-bookworm

# ---------------------------------------------------------------- the system, without what builds
# A layer that deletes files makes no image smaller. So what is kept is copied into an empty image,
# and is the same layer in all of ours.
FROM ${BASE} AS system
RUN groupadd --gid 10001 lookalike && useradd --uid 10001 --gid 10001 --no-create-home lookalike
# No pip and no compiler's headers: who breaks into a service shall not find them. Of a package that
# the system installed its entry in /var/lib/dpkg stays, which scanners for vulnerabilities read.
RUN rm -rf /usr/local/lib/python3.11/site-packages/* /usr/lib/python3/dist-packages/* \
        /usr/local/bin/pip* /usr/local/bin/wheel /usr/bin/pip* /usr/share/python-wheels \
        /usr/local/include /usr/include /usr/local/lib/pkgconfig /etc/pip.conf \
    && for library in /usr/local/lib/python3.11 /usr/lib/python3.11; do \
        cd "$library" 2>/dev/null || continue; \
        rm -rf ensurepip idlelib lib2to3 tkinter turtledemo turtle.py pydoc_data test config-3.11-*; \
    done \
    && rm -rf /var/cache/* /var/lib/apt/lists/* /var/log/* /var/tmp/* \
        /usr/share/info /usr/share/locale /usr/share/man /usr/share/perl5 \
    && find /usr/share/doc -type f ! -name copyright -delete
# Modules of the standard library that are not compiled would be compiled at each start, as the
# file system is read-only. `unchecked-hash`: their sources do not change, so nobody looks.
RUN python -m compileall -q -f --invalidation-mode unchecked-hash \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
# cp keeps /bin, /lib and the like the links that they are; not every architecture has /lib64
RUN mkdir /system && mkdir -m 1777 /system/tmp \
    && for part in bin etc lib lib64 sbin usr var; do [ ! -e /$part ] || cp -a /$part /system/; done

FROM scratch AS runtime
COPY --from=system /system/ /
ENV PATH=/opt/lookalike/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
ARG BASE
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Lookalike" \
      org.opencontainers.image.base.name="${BASE}"

# ------------------------------------------------------------------------------- what is installed
FROM ${BASE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/lookalike
COPY deploy/images/install-packages /usr/local/bin/

FROM builder AS embedder-packages
COPY requirements/embedder.txt ./
RUN install-packages embedder.txt

# `--build-arg INDEX_LOCK=index-milvus` for an index that can keep its vectors in Milvus
FROM builder AS index-packages
ARG INDEX_LOCK=index
COPY requirements/${INDEX_LOCK}.txt ./
RUN install-packages ${INDEX_LOCK}.txt

FROM builder AS gateway-packages
COPY requirements/gateway.txt ./
RUN install-packages gateway.txt

# Our own code, compiled too.
FROM builder AS code
COPY lookalike app/lookalike
COPY embedder_service app/embedder_service
COPY index_service app/index_service
COPY gateway app/gateway
COPY training app/training
RUN python -m compileall -q -f -s /build --invalidation-mode unchecked-hash app

# -------------------------------------------------------------------------------------- the images
# What changes with every commit comes last, so that the layers before it are used again. Health checks
# have a port of their own, in plaintext, so that they stay the same with TLS and tokens. One takes 0.12 s of
# a processor, which is why they are not more frequent.
FROM runtime AS embedder
COPY --from=embedder-packages /opt/lookalike /opt/lookalike
COPY --from=code /build/app/lookalike lookalike
COPY --from=code /build/app/embedder_service embedder_service
# The model bundle is mounted here, read-only.
ENV LOOKALIKE_EMBEDDER_BUNDLE=/bundle LOOKALIKE_EMBEDDER_HOST=0.0.0.0 \
    LOOKALIKE_EMBEDDER_HEALTH_PORT=50081
USER 10001
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
    CMD ["python", "-m", "lookalike.serving.healthcheck", "127.0.0.1:50081", "lookalike.embedder.v1.EmbedderService"]
# exec form: SIGTERM reaches the service, which drains and exits 0
CMD ["python", "-m", "embedder_service"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lookalike-embedder" \
      org.opencontainers.image.description="Photos and words to vectors" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS index
COPY --from=index-packages /opt/lookalike /opt/lookalike
COPY --from=code /build/app/lookalike lookalike
COPY --from=code /build/app/index_service index_service
# The store of record; a new volume takes this folder's owner.
RUN mkdir /data && chown lookalike /data
VOLUME /data
# What loses data is answered on 50062 alone, and inside the container unless ADMIN_HOST says otherwise.
ENV LOOKALIKE_INDEX_DATA_DIR=/data LOOKALIKE_INDEX_HOST=0.0.0.0 \
    LOOKALIKE_INDEX_ADMIN_PORT=50062 LOOKALIKE_INDEX_HEALTH_PORT=50082
USER 10001
EXPOSE 50052
# It is unhealthy until its store is read, which takes a minute for ten million items, and several on a slow disk:
# so long as it starts, that does not count, and who depends on it waits.
HEALTHCHECK --interval=10s --timeout=6s --start-period=15m \
    CMD ["python", "-m", "lookalike.serving.healthcheck", "127.0.0.1:50082", "lookalike.index.v1.IndexService"]
CMD ["python", "-m", "index_service"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lookalike-index" \
      org.opencontainers.image.description="Vectors to their nearest neighbours" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS gateway
COPY --from=gateway-packages /opt/lookalike /opt/lookalike
COPY --from=code /build/app/lookalike lookalike
COPY --from=code /build/app/gateway gateway
# Where thumbnails may be kept; a new volume takes this folder's owner.
RUN mkdir /thumbnails && chown lookalike /thumbnails
ENV LOOKALIKE_GATEWAY_HOST=0.0.0.0 LOOKALIKE_GATEWAY_HEALTH_PORT=50080
USER 10001
EXPOSE 50050 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
    CMD ["python", "-m", "lookalike.serving.healthcheck", "127.0.0.1:50080", "lookalike.gateway.v1.GatewayService"]
CMD ["python", "-m", "gateway"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lookalike-gateway" \
      org.opencontainers.image.description="Search, classification and ingest, over gRPC and HTTP" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Not one of the services: the pipeline from photos to a bundle, and TensorBoard. Last, since a docker
# without BuildKit builds every stage before the one that it is asked for.
FROM builder AS training-packages
# torch and torchvision for CPUs or for CUDA are other files of the same version: which, says the index
# or the folder that these name. Nothing of them is among the hashes.
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
COPY requirements/training.txt constraints.txt ./
RUN install-packages training.txt whole \
    && pip --python /opt/lookalike/bin/python install --constraint constraints.txt torch torchvision

FROM runtime AS training
COPY --from=training-packages /opt/lookalike /opt/lookalike
COPY --from=code /build/app/lookalike lookalike
COPY --from=code /build/app/training training
# What libraries keep between runs has no place on a read-only file system.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
USER 10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lookalike-training" \
      org.opencontainers.image.description="From raw listings and photos to a model bundle" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
