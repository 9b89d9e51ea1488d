package controllers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/assay-dev/assay/internal/source"
)

// A step that is part of a trace that is sent has an exemplar, which who asks
// for OpenMetrics is served; one of a trace that is not sent has none.
func TestExemplars(t *testing.T) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()))
	defer func() { _ = provider.Shutdown(t.Context()) }()
	collector := &url.URL{Scheme: "http", Host: "collector"}
	for name, tt := range map[string]struct {
		tracer trace.Tracer
		o      Options
		want   bool
	}{
		"traced":            {provider.Tracer(""), Options{OTLPEndpoint: collector}, true},
		"not sampled":       {noTracer(), Options{OTLPEndpoint: collector}, false},
		"no OpenMetrics":    {provider.Tracer(""), Options{}, false},
		"nothing is traced": {noTracer(), Options{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMetrics(MetricsOptions{})
			ctx, span := tt.tracer.Start(context.Background(), "a look")
			_, end := telemetry{metrics: m, tracer: tt.tracer}.step(ctx, source.StepVerify)
			end(time.Second, "")
			span.End()
			r := prometheus.NewRegistry()
			r.MustRegister(m.steps)
			var opts promhttp.HandlerOpts
			for _, set := range metricsOf(tt.o).HandlerOpts {
				set(&opts)
			}
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
			answer := httptest.NewRecorder()
			promhttp.HandlerFor(r, opts).ServeHTTP(answer, request)
			exemplar := `# {trace_id="` + span.SpanContext().TraceID().String() + `"} 1.0`
			if found := answer.Body.String(); strings.Contains(found, exemplar) != tt.want || !strings.Contains(found, `step="verify"`) {
				t.Errorf("expected the exemplar %s: %t, found\n%s", exemplar, tt.want, found)
			}
		})
	}
}
