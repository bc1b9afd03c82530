# All programs in one image: workpool, workpool-dispatcher and workpool-worker.
#   docker build -t workpool .
#   docker run --rm -e WORKPOOL_KEY workpool workpool worker tcp://dispatcher.example:5555

FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages first: they change less often than the source.
COPY scripts/setup scripts/setup
RUN scripts/setup
COPY . .
RUN scripts/build release workpool workpool-dispatcher workpool-worker \
    && strip build/release/bin/workpool*

FROM debian:bookworm-slim
# What the programs load (ldd tells), nothing of what built them.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libisal2 libsimdjson14 libxxhash0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/bin/workpool /src/build/release/bin/workpool-dispatcher \
     /src/build/release/bin/workpool-worker /usr/local/bin/
RUN workpool --version && workpool worker --version
# Jobs are other people's commands. The worker's supervisor is made to be PID 1: no init is needed.
USER 1000:1000
STOPSIGNAL SIGTERM
CMD ["workpool", "--help"]
