# AgentSight's image: the static binary and nothing else. It needs the host's pid namespace, /sys, and the capabilities
# that docker-compose.yml names.
#
#   docker build -t agentsight .
#
# packaging/Dockerfile makes the same image of a binary that is there already. It is another file because an engine without
# BuildKit makes every stage of one, whether it is asked for or not.
ARG BUILDER=rust:1.95-slim-bookworm

FROM ${BUILDER} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends clang gcc libbpf-dev libc6-dev llvm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The workspace has a member for end-to-end tests, whose files stay outside: an empty one takes its place.
RUN sed -i '/^\[\[test\]\]/,$d' tests/Cargo.toml && : > tests/src/lib.rs
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN cargo build --release --locked --target x86_64-unknown-linux-gnu --package agentsight --bin agentsight

FROM scratch
COPY --from=build /src/target/x86_64-unknown-linux-gnu/release/agentsight /agentsight
ENTRYPOINT ["/agentsight"]
