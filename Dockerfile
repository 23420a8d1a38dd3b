# syntax=docker/dockerfile:1
# Debian, because the wheels of confluent-kafka want glibc. The tag says what it is; the digest, of the index
# of all platforms, which one. Renovate raises both.
FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/cki-notifier
# The dependencies are a layer of their own, which a change of the code does not touch.
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
# Some libraries bring their tests, and rich all that it needs to highlight sources, which nothing here does. Compiled by content and not by time, so that the same files give the same image.
RUN find /opt/cki-notifier -type d \( -name tests -o -path '*/pygments/*' \) -prune -exec rm -r '{}' + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/cki-notifier

FROM base
# Nothing is to be installed in here. And what is not compiled now would be at every start, the root file
# system being read-only: the base leaves Python's own library uncompiled, which would double that time.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
    && python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(idlelib|pydoc_data|tkinter|turtledemo)/' "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/cki-notifier /opt/cki-notifier
ENV PATH=/opt/cki-notifier/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Not root; and fit for platforms that choose any user id with group 0: nothing is ever written.
USER 1001:0
EXPOSE 8000
STOPSIGNAL SIGTERM
# The exec form: the process gets SIGTERM itself. There is no HEALTHCHECK: the probes are off by default, like
# the port they are on, Kubernetes has its own, and OCI images have none. docs/image.md tells how to ask.
ENTRYPOINT ["cki-notifier"]
# Last, because they differ with every build. scripts/build-image fills them in.
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="cki-notifier" \
      org.opencontainers.image.description="Tells outside testers over Kafka that a CKI kernel is ready for their tests" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.source="https://gitlab.com/cki-project/cki-notifier" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
