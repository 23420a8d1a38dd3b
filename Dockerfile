# syntax=docker/dockerfile:1
# Debian, because the wheels of confluent-kafka need glibc. The digest belongs to the index of all platforms. Renovate
# updates the tag and the digest.
FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/cki-notifier
# The dependencies have their own layer, so that a change of the code keeps it in the cache.
COPY requirements/run.txt ./requirements/
RUN python -m pip --python /opt/cki-notifier/bin/python install --no-deps --require-hashes \
    --only-binary :all: --no-compile --requirement requirements/run.txt
COPY requirements/build.txt ./requirements/
RUN python -m pip install --no-deps --require-hashes --only-binary :all: --target /opt/build \
    --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY docs/cki-notifier.1 ./docs/
COPY cki_notifier ./cki_notifier
RUN PYTHONPATH=/opt/build python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
    && python -m pip --python /opt/cki-notifier/bin/python install --no-deps --no-compile --no-index dist/*.whl \
    && python -m pip --python /opt/cki-notifier/bin/python check
# The daemon needs neither the tests of libraries nor Pygments, which rich requires to highlight source code. Bytecode
# without timestamps makes the image reproducible.
RUN find /opt/cki-notifier -type d \( -name tests -o -path '*/pygments/*' \) -prune -exec rm -r '{}' + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/cki-notifier

FROM base
# The image needs no pip. The base image does not compile the standard library, and at run time the root file system is
# read-only. Without this step, Python would compile it at every start, and the start would take twice as long.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
    && python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(idlelib|pydoc_data|tkinter|turtledemo)/' "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/cki-notifier /opt/cki-notifier
ENV PATH=/opt/cki-notifier/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# OpenShift runs the image with any user id and group 0. The daemon writes no files, so any user works.
USER 1001:0
EXPOSE 8000
STOPSIGNAL SIGTERM
# With the exec form the daemon gets SIGTERM itself. There is no HEALTHCHECK, because the port is closed by default, and
# OCI images support none. For a command that checks the daemon, see docs/image.md.
ENTRYPOINT ["cki-notifier"]
# These come last, because they differ in every build. scripts/build-image sets them.
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="cki-notifier" \
      org.opencontainers.image.description="Publishes a Kafka message when a CKI kernel is ready for outside labs to test" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.source="https://gitlab.com/cki-project/cki-notifier" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
