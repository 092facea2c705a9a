# syntax=docker/dockerfile:1
# dixmgr in a container: `docker build -t dixmgr .`
#
# A container has no systemd of its own. It runs the durable engine for others (`docker run dixmgr engine -listen …`), keeps
# processes by itself (`-process-manager direct`, with the programs in an image made from this one), or talks to the host's
# systemd, if its bus is mounted: docs/INSTALL.md says how.

FROM rust:1.92-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    CARGO_TARGET_DIR=/source/target cargo build --release --locked --bin dixmgr \
    && install -D -m 755 target/release/dixmgr /out/dixmgr

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/dixmgr --create-home --shell /usr/sbin/nologin dixmgr \
    && install -d -o dixmgr -g dixmgr -m 700 /var/log/dixmgr /run/dixmgr \
    && install -d /etc/dixmgr
COPY --from=build /out/dixmgr /usr/bin/dixmgr

USER 10001:10001
VOLUME /var/lib/dixmgr
# /metrics, /healthz and /readyz.
EXPOSE 9090
# There is no curl in here; the shell can ask as well.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${DIXMGR_METRICS_PORT:-9090} && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/dixmgr"]
CMD ["-exec", "-process-manager", "direct", "-conf", "/etc/dixmgr/dixmgr.toml"]
