# The service's image built with Docker's own builder, for those who must use it: on the project's base image, from a
# binary built by Pants, in two layers (third-party packages, sources), as an unprivileged user, without a shell.
#
#   make load                                   the base image, fastapi-base/python
#   ./pants package ops/images/binaries::              the binaries
#   docker build --build-arg PROGRAM=api --file ops/production.Dockerfile --tag my-api .
#
# PROGRAM is api, worker or migrate. `./pants package ops/images::` builds the equivalent images without a builder, and
# reproducibly, which this cannot.
ARG BASE=fastapi-base/python:latest
ARG PROGRAM=api

FROM ${BASE} AS build
ARG PROGRAM
WORKDIR /build
COPY dist/fastapi-base-${PROGRAM}-linux.pex /build/program.pex
ENV PEX_TOOLS=1 PEX_ROOT=/build/pex TMPDIR=/build
FROM build AS dependencies
RUN ["/usr/bin/python3.13", "/build/program.pex", "venv", "--scope=deps", "--compile", "/app"]

FROM build AS sources
RUN ["/usr/bin/python3.13", "/build/program.pex", "venv", "--scope=srcs", "--compile", "/app"]

FROM ${BASE}
COPY --from=dependencies /app /app
COPY --from=sources /app /app
ENV ENVIRONMENT=production PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm API_HOST=0.0.0.0
USER 10001:10001
WORKDIR /app
STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/pex"]
