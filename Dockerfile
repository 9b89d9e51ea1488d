# syntax=docker/dockerfile:1

# Built on the platform at hand, for the platform asked for.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src

# Modules first, and nothing that differs between platforms or versions before
# it: this layer stays until go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download

COPY main.go ./
COPY api/ api/
COPY controllers/ controllers/
COPY internal/ internal/

ARG TARGETOS
ARG TARGETARCH
ARG VERSION
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o bin/assay-controller .

FROM gcr.io/distroless/static:nonroot
COPY --from=build /src/bin/assay-controller /assay-controller
USER 65532:65532
ENTRYPOINT ["/assay-controller"]
