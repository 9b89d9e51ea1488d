// Package tracing sends traces to an OpenTelemetry collector, over OTLP and
// HTTP. Whoever traces never waits for the collector: spans go into a bounded
// queue, and beyond that are lost. Nothing that a collector answers reaches a
// log. The package imports nothing of ours.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// queuedSpans is how many spans wait for the collector; more are lost.
	queuedSpans = 2048
	// sendDelay is how long a span waits for others to be sent with.
	sendDelay = 2 * time.Second
	// sendTimeout bounds one attempt to send, with its retries.
	sendTimeout = 10 * time.Second
	// flushTimeout bounds what Close waits for.
	flushTimeout = 5 * time.Second

	// tracesPath is where a collector takes traces, below its base URL.
	// https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
	tracesPath = "/v1/traces"
)

// Options are the settings of a Provider.
type Options struct {
	// Endpoint is the collector's base URL; see ParseEndpoint.
	Endpoint *url.URL
	// SamplingRatio is the part of all traces that is sent, above 0 and up to 1.
	SamplingRatio float64
	// Service and Version say who sends.
	Service, Version string
	// Log is told when sending begins to fail, and when it succeeds again.
	Log logr.Logger
}

// ParseEndpoint reads the base URL of a collector, such as
// http://collector:4318. An error does not repeat it: it may hold a password,
// which is what it is refused for.
func ParseEndpoint(text string) (*url.URL, error) {
	const want = "expected http://<host>[:port][/<path>] or https://…"
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Opaque != "", u.Hostname() == "":
		return nil, errors.New(want + ", found no such URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s, found the scheme %.20q", want, u.Scheme)
	case u.User != nil:
		return nil, errors.New(want + ", found a user: write headers into OTEL_EXPORTER_OTLP_HEADERS")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New(want + ", found a query or fragment")
	}
	return u, nil
}

// ParseRatio checks a sampling ratio.
func ParseRatio(ratio float64) error {
	if ratio > 0 && ratio <= 1 { // Neither holds for NaN.
		return nil
	}
	return fmt.Errorf("expected a number above 0 and up to 1, found %g", ratio)
}

// Provider makes tracers.
type Provider struct {
	provider *sdktrace.TracerProvider
	exporter *quiet
}

// New makes a Provider, whose Close the caller calls. It asks nobody. The
// environment may add what is no flag's: OTEL_EXPORTER_OTLP_HEADERS and
// OTEL_EXPORTER_OTLP_CERTIFICATE among others, and OTEL_RESOURCE_ATTRIBUTES.
func New(ctx context.Context, o Options) (*Provider, error) {
	if err := ParseRatio(o.SamplingRatio); err != nil {
		return nil, err
	}
	endpoint := *o.Endpoint
	if path := strings.TrimRight(endpoint.Path, "/"); !strings.HasSuffix(path, tracesPath) {
		endpoint.Path = path + tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithTimeout(sendTimeout))
	if err != nil {
		return nil, fmt.Errorf("making the exporter: %w", err)
	}
	sender, err := resource.New(ctx, resource.WithFromEnv(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)))
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	q := &quiet{SpanExporter: exporter, log: o.Log}
	return &Provider{exporter: q, provider: sdktrace.NewTracerProvider(
		sdktrace.WithResource(sender),
		sdktrace.WithSampler(sdktrace.TraceIDRatioBased(o.SamplingRatio)),
		sdktrace.WithBatcher(q, sdktrace.WithMaxQueueSize(queuedSpans), sdktrace.WithBatchTimeout(sendDelay), sdktrace.WithExportTimeout(sendTimeout)),
	)}, nil
}

// Tracer makes spans. It samples where a trace begins, and not a span alone: the
// caller begins each trace anew, and its other spans are children.
func (p *Provider) Tracer() trace.Tracer { return p.provider.Tracer("github.com/assay-dev/assay") }

// Close sends what is left, for 5 seconds at the most, and ends. What could not
// be sent by then is lost.
func (p *Provider) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.provider.Shutdown(ctx); err != nil {
		p.exporter.lost(err)
	}
	// What is under way still is broken off, and if it is answered after all, that
	// is no news.
	p.exporter.ending.Store(true)
	_ = p.exporter.Shutdown(ctx)
}

// quiet tells the log that sending fails once, and not how: the errors of the
// exporter repeat what the collector answered.
type quiet struct {
	sdktrace.SpanExporter
	log     logr.Logger
	failing atomic.Bool
	ending  atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (q *quiet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		q.lost(err)
	case q.failing.Swap(false) && !q.ending.Load():
		q.log.Info("the collector of --otlp-endpoint takes traces again")
	}
	return nil
}

// lost tells of the first failure since the last success.
func (q *quiet) lost(err error) {
	if q.failing.Swap(true) {
		return
	}
	cause := "it cannot be reached, or refuses them"
	if errors.Is(err, context.DeadlineExceeded) {
		cause = "it does not answer in time"
	}
	q.log.Info("traces are lost: the collector of --otlp-endpoint does not take them", "cause", cause)
}
