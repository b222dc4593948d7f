# The broker: the official image, and a place for the stream that belongs to a user who is not root.
FROM nats:2.14.5-alpine3.22 AS nats
RUN mkdir -m 0700 /data && chown 10002:10002 /data
USER 10002:10002


# The build: every package is checked against its hash, the build tools too.
FROM python:3.13.15-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/botledger
COPY requirements/ requirements/
RUN pip --python /opt/botledger/bin/python install --require-hashes -r requirements/production.txt
RUN pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY ledger/ ledger/
COPY projections/ projections/
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/botledger/bin/python install --no-deps --no-index /wheels/*.whl \
    && /opt/botledger/bin/botledger --help > /dev/null


# What runs: no build tools, no sources, a user with nothing to call its own but the outbox.
FROM python:3.13.15-slim-trixie AS botledger
LABEL org.opencontainers.image.title="botledger" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 botledger \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/botledger \
        --shell /usr/sbin/nologin botledger \
    && install -d -o botledger -g botledger -m 0700 /var/lib/botledger /var/lib/botledger/outbox
COPY --from=build /opt/botledger /opt/botledger
ENV PATH=/opt/botledger/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/botledger
USER 10001:10001
ENTRYPOINT ["botledger"]
CMD ["--help"]
