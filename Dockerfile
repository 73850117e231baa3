# syntax=docker/dockerfile:1.7
# The image of Serin: one static program for an unprivileged user, and nothing beside it but the root certificates.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag serin:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --target program --output type=local,dest=out .
#
# The compiler runs on the builder's own platform and compiles for the other one: nothing is emulated.

# Cargo.lock is what says which crates are inside, so the SBOM is made of the context too.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /serin

# ring is partly C and needs a compiler for the target. clang is one for every target; on arm64 ring does without a C library's headers,
# on amd64 it takes those of musl, which musl-dev has for the target's architecture. Debian keeps one version of a package, so that a
# pinned one would soon be gone.
# hadolint ignore=DL3008
RUN dpkg --add-architecture "$TARGETARCH" \
 && apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates clang "musl-dev:$TARGETARCH" \
 && rm -rf /var/lib/apt/lists/*

# The target by TARGETARCH: x86_64-unknown-linux-musl or aarch64-unknown-linux-musl. Rust brings musl's start files and a linker.
COPY rust-toolchain.toml ./
RUN case "$TARGETARCH" in \
      amd64) machine=x86_64 ;; \
      arm64) machine=aarch64 ;; \
      *) echo "there is no build for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && target="$machine-unknown-linux-musl" \
 && rustup target add "$target" \
 && { echo "export CARGO_BUILD_TARGET=$target"; \
      echo "export CC_${machine}_unknown_linux_musl=clang"; \
      echo "export CFLAGS_${machine}_unknown_linux_musl='--target=$machine-linux-musl -isystem /usr/include/$machine-linux-musl'"; \
      echo "export RUSTFLAGS='-C target-feature=+crt-static -C linker=rust-lld -C link-self-contained=yes'"; \
    } > /target.sh

# The dependencies alone: this layer stays while only Serin changes. The tests that Cargo.toml names have to exist for it.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/real tests/mutants \
 && for main in src tests/real tests/mutants; do echo 'fn main() {}' > "$main/main.rs"; done \
 && touch src/lib.rs \
 && . /target.sh \
 && cargo build --locked --release --bin serin

# Definitions and policies are part of the program: it prints and plays them.
COPY crds ./crds
COPY deploy ./deploy
COPY src ./src
# Times of files decide what is built anew, and those of the context may be older than the empty library above.
RUN touch src/lib.rs src/main.rs \
 && . /target.sh \
 && cargo build --locked --release --bin serin \
 && install -D "target/$CARGO_BUILD_TARGET/release/serin" /out/serin

# The program as a file, for those who want no image.
FROM scratch AS program
COPY --from=build /out/serin /serin

FROM scratch
LABEL org.opencontainers.image.title="Serin" \
      org.opencontainers.image.description="A progressive-delivery controller for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
# Without any root certificate no TLS client can be made, so the controller would not even start.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/serin /serin
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/serin"]
