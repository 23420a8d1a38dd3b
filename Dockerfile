# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/cki-notifier
WORKDIR /src
# The dependencies are a layer of their own, which a change of the code does not touch.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/cki-notifier/bin/pip install --requirement requirements.txt
COPY README.md LICENSE ./
COPY cki_notifier ./cki_notifier
RUN /opt/cki-notifier/bin/pip install --no-deps .

FROM python:3.13-slim
COPY --from=build /opt/cki-notifier /opt/cki-notifier
ENV PATH=/opt/cki-notifier/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Not root; and fit for platforms that choose any user id with group 0: nothing is ever written.
USER 1001:0
EXPOSE 8000
# The exec form: the process gets SIGTERM itself.
ENTRYPOINT ["cki-notifier"]
