# syntax=docker/dockerfile:1
# Builds for amd64 and arm64. BASE can be any image with Python 3.11 or newer.
ARG BASE=python:3.13.9-slim-bookworm

FROM ${BASE} AS build
ARG UV_VERSION=0.13.8
# The system's certificates, so that the build can use a company's own.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    UV_PROJECT_ENVIRONMENT=/opt/hashmargin \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir uv==${UV_VERSION}
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv venv --quiet --python "$(command -v python3)" /opt/hashmargin \
 && /opt/uv/bin/uv sync --quiet --frozen --no-dev --extra outlook --no-install-project
COPY README.md LICENSE ./
COPY exporter exporter
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --extra outlook --no-editable

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="hashmargin" \
      org.opencontainers.image.description="Prometheus exporter for bitcoin-mining sites: what each rig earns now" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/hashmargin /opt/hashmargin
RUN install -d -o 65532 -g 65532 /var/lib/hashmargin && install -d /etc/hashmargin
ENV PATH=/opt/hashmargin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/hashmargin \
    STATE_DIRECTORY=/var/lib/hashmargin
USER 65532:65532
WORKDIR /var/lib/hashmargin
VOLUME /var/lib/hashmargin
EXPOSE 9852
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python", "-m", "exporter.healthcheck"]
ENTRYPOINT ["hashmargin"]
CMD ["run", "--config.file=/etc/hashmargin/site.yml"]
