# d-vecDB 0.2.1 from its package, whose binary is for aarch64: on other machines the container engine needs QEMU (binfmt).
#   docker build --platform linux/arm64 -f deploy/dvecdb.Dockerfile -t d-vecdb deploy
# hadolint ignore=DL3029
FROM --platform=linux/arm64 python:3.13-slim-bookworm AS fetch
WORKDIR /fetch
RUN pip download --disable-pip-version-check --no-deps --no-binary :none: d-vecdb-server==0.2.1 \
    && python -m zipfile --extract d_vecdb_server-0.2.1*.whl . \
    && install --mode 0755 d_vecdb_server/binaries/vectordb-server-linux-x64 /usr/local/bin/d-vecdb

# hadolint ignore=DL3029
FROM --platform=linux/arm64 debian:bookworm-slim
RUN groupadd --gid 10002 dvecdb && useradd --uid 10002 --gid 10002 --no-create-home --shell /usr/sbin/nologin dvecdb
COPY --from=fetch /usr/local/bin/d-vecdb /usr/local/bin/d-vecdb
USER 10002:10002
WORKDIR /tmp
EXPOSE 8080
# It keeps nothing over a restart whatever it is told, so its folder is a temporary one. It logs every vector above "error".
ENTRYPOINT ["d-vecdb", "-d", "/tmp/d-vecdb", "--host", "0.0.0.0", "--rest-port", "8080", "--grpc-port", "9090", "--metrics-port", "9091", "--log-level", "error"]
