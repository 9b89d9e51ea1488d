package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/tracing"
)

// The attributes of spans. None holds a secret, a message, or a text of a
// response.
const (
	attributeNamespace = attribute.Key("assay.namespace")
	attributeName      = attribute.Key("assay.name")
	attributeDigest    = attribute.Key("assay.revision.digest")
	attributeReason    = attribute.Key("assay.reason")
	attributeKind      = attribute.Key("assay.request.kind")
	attributeHost      = attribute.Key("server.address")
	attributeMethod    = attribute.Key("http.request.method")
	attributeCode      = attribute.Key("http.response.status_code")
)

// noTracer is that of a controller that traces nothing.
func noTracer() trace.Tracer { return noop.NewTracerProvider().Tracer("") }

// newTracer makes what traces, and what ends it.
func newTracer(ctx context.Context, o Options) (trace.Tracer, func(), error) {
	if o.OTLPEndpoint == nil {
		return noTracer(), func() {}, nil
	}
	p, err := tracing.New(ctx, tracing.Options{
		Endpoint: o.OTLPEndpoint, SamplingRatio: o.OTLPSamplingRatio, Service: "assay-controller", Version: o.Version, Log: o.Log.WithName("tracing"),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	return p.Tracer(), p.Close, nil
}

// telemetry counts and traces the work on ModuleSources.
type telemetry struct {
	metrics *Metrics
	tracer  trace.Tracer
}

// step is a source.Syncer's Begin.
func (t telemetry) step(ctx context.Context, step source.Step) (context.Context, func(time.Duration, string)) {
	ctx, span := t.tracer.Start(ctx, string(step))
	return ctx, func(took time.Duration, reason string) {
		t.metrics.observeStep(ctx, step, took)
		endSpan(span, reason)
	}
}

// exchange is a registry.Pool's OnExchange.
func (t telemetry) exchange(ctx context.Context, e registry.Exchange) {
	t.metrics.registries.exchanged(e)
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, "registry "+string(e.Kind), trace.WithTimestamp(e.Began), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributeHost.String(e.Host), attributeMethod.String(e.Method), attributeKind.String(string(e.Kind))))
	if e.Code == 0 {
		span.SetStatus(codes.Error, "no answer")
	} else {
		span.SetAttributes(attributeCode.Int(e.Code))
	}
	span.End(trace.WithTimestamp(e.Began.Add(e.Took)))
}

// traced begins the trace of a look at a ModuleSource; the caller ends it with
// what it found.
func (r *ModuleSourceReconciler) traced(ctx context.Context, obj *v1alpha1.ModuleSource) (context.Context, func(outcome)) {
	ctx, span := r.Tracer.Start(ctx, "reconcile ModuleSource", trace.WithNewRoot(),
		trace.WithAttributes(attributeNamespace.String(obj.Namespace), attributeName.String(obj.Name)))
	return ctx, func(o outcome) {
		if digest := digestOf(obj, o); digest != "" {
			span.SetAttributes(attributeDigest.String(digest))
		}
		reason := ""
		if o.err != nil {
			reason = o.err.Reason
		}
		endSpan(span, reason)
	}
}

// digestOf is what a look was about: what the registry said, or was known before.
func digestOf(obj *v1alpha1.ModuleSource, o outcome) string {
	if o.sync.Revision.Digest != "" || obj.Status.Observed == nil {
		return o.sync.Revision.Digest
	}
	return obj.Status.Observed.Digest
}

// endSpan ends a span, with the reason if it failed.
func endSpan(span trace.Span, reason string) {
	if reason != "" {
		span.SetAttributes(attributeReason.String(reason))
		span.SetStatus(codes.Error, reason)
	}
	span.End()
}

// metricsOf are the settings of the server of metrics. Exemplars, which name
// traces, are in the OpenMetrics format alone; without traces there are none.
func metricsOf(o Options) metricsserver.Options {
	return metricsserver.Options{
		BindAddress: o.MetricsAddr,
		HandlerOpts: []func(*promhttp.HandlerOpts){func(h *promhttp.HandlerOpts) { h.EnableOpenMetrics = o.OTLPEndpoint != nil }},
	}
}
