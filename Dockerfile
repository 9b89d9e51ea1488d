# syntax=docker/dockerfile:1
# `make image` follows this file too, without Docker: hack/image knows the
# instructions that are used here, and refuses others.

# Built on the platform at hand, for the platform asked for.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src

# Modules first, and nothing that differs between platforms or versions before
# it: this layer stays until go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download

COPY *.go ./
COPY api/ api/
COPY controllers/ controllers/
COPY internal/ internal/

ARG TARGETOS
ARG TARGETARCH
ARG VERSION
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o bin/assay-controller .

# Nothing but the program, which brings the certificate authorities: see
# docs/decisions/0023-the-image-is-one-program.md.
FROM scratch
COPY --chmod=0444 hack/image/passwd /etc/passwd
COPY --chmod=0555 --from=build /src/bin/assay-controller /assay-controller
USER 65532:65532
ENTRYPOINT ["/assay-controller"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="assay-controller" \
      org.opencontainers.image.source="https://github.com/assay-dev/assay" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
