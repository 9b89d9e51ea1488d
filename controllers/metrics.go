package controllers

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Metrics are Assay's own metrics, beside those of controller-runtime and of
// package trust. docs/metrics.md is made of what they say of themselves. No label
// holds a text that a registry, a signature or a tenant chooses without a bound.
type Metrics struct {
	verifications *prometheus.CounterVec
	panics        prometheus.Counter
	retries       *prometheus.CounterVec
	steps         *prometheus.HistogramVec
	firstSeen     prometheus.Histogram
	registries    *registryMetrics
	answers       *prometheus.CounterVec
	sent          prometheus.Counter
	held          *heldCollector
	sources       *sourceCollector
	build         *buildCollector
}

// MetricsOptions are what metrics are read from at every scrape. The zero value
// is enough to describe them.
type MetricsOptions struct {
	// Sources are the ModuleSources that are told of once Elected is closed:
	// replicas that only wait tell of none.
	Sources client.Reader
	Elected <-chan struct{}
	// Held is how many archives there are, and their bytes; see artifact.Store.
	Held func() (archives int, bytes int64)
	// Version is the controller's.
	Version string
}

// NewMetrics makes the metrics.
func NewMetrics(o MetricsOptions) *Metrics {
	return &Metrics{
		verifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_verifications_total",
			Help: "Verdicts that were reached, by result (verified or refused) and by the condition's reason.",
		}, []string{"result", "reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "assay_verification_panics_total",
			Help: "Panics over untrusted bytes that were caught while judging, each of which refused a signature: defects to be reported.",
		}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_retries_total",
			Help: "Attempts that failed for now and will be made again, by the reason.",
		}, []string{"reason"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "assay_step_duration_seconds",
			Help:    "Time that a step of the way from a repository to a published artifact took: resolve, signatures, verify, fetch or publish.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"step"}),
		firstSeen: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "assay_first_seen_to_verified_seconds",
			Help:    "Time from when a revision was first seen in its registry until it was verified and published for the first time.",
			Buckets: []float64{1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600, 24 * 3600},
		}),
		registries: newRegistryMetrics(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_artifact_requests_total",
			Help: "Requests that the artifact server answered, by the HTTP status; a download that broke off has the status that it began with.",
		}, []string{"code"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "assay_artifact_sent_bytes_total",
			Help: "Bytes of bodies that the artifact server sent.",
		}),
		held:    &heldCollector{held: o.Held},
		sources: &sourceCollector{sources: o.Sources, elected: o.Elected},
		build:   &buildCollector{version: o.Version},
	}
}

// Collectors are what is to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	own := []prometheus.Collector{m.sources, m.verifications, m.panics, m.retries, m.steps, m.firstSeen, m.answers, m.sent, m.held, m.build}
	return append(own, m.registries.collectors()...)
}

// observeStep notes how long a step took, with the trace that it is part of.
func (m *Metrics) observeStep(ctx context.Context, step source.Step, took time.Duration) {
	observer := m.steps.WithLabelValues(string(step))
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		if exemplar, ok := observer.(prometheus.ExemplarObserver); ok {
			exemplar.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": s.TraceID().String()})
			return
		}
	}
	observer.Observe(took.Seconds())
}

// verdict counts a verdict, and the panics on the way to it. An error that is
// no refusal came after a yes, unless it says that nothing was judged.
func (m *Metrics) verdict(v verify.Verified, err error) {
	m.panics.Add(float64(panicsOf(v, err)))
	switch e := asError(err); {
	case e != nil && e.Kind == source.Refused:
		m.verifications.WithLabelValues("refused", e.Reason).Inc()
	case !v.IsZero():
		m.verifications.WithLabelValues("verified", v1alpha1.ReasonSignatureVerified).Inc()
	}
}

func panicsOf(v verify.Verified, err error) int {
	var refusal *verify.Refusal
	var stopped *verify.StoppedError
	switch {
	case errors.As(err, &refusal):
		return refusal.Panics
	case errors.As(err, &stopped):
		return stopped.Panics
	default:
		return v.Panics()
	}
}

// look counts one look at a ModuleSource that has been reported.
func (m *Metrics) look(obj *v1alpha1.ModuleSource, o outcome, now time.Time) {
	if o.err != nil && o.err.Kind == source.Transient {
		m.retries.WithLabelValues(o.err.Reason).Inc()
	}
	if o.polled && (o.sync.Unchanged || judged(o.sync, o.err)) {
		m.sources.polled(obj, now)
	}
}

// published notes how long what was reported as published for the first time
// had been known.
func (m *Metrics) published(before, after *v1alpha1.ModuleSource, o outcome, now time.Time) {
	if known, ok := sinceFirstSeen(&before.Status, &after.Status, o, now); ok {
		m.firstSeen.Observe(known.Seconds())
	}
}

// sinceFirstSeen is how long ago the revision was first seen that is now
// published and was not before; ok is false where there is none. What was first
// seen by this very poll was so at its beginning.
func sinceFirstSeen(before, after *v1alpha1.ModuleSourceStatus, o outcome, now time.Time) (known time.Duration, ok bool) {
	revision := o.sync.Revision.String()
	if o.sync.Published == (artifact.Published{}) || after.Observed == nil || before.Artifact.HasRevision(revision) {
		return 0, false
	}
	for _, earlier := range before.History {
		if earlier.Revision == revision {
			return 0, false // It was withdrawn meanwhile, or another one published.
		}
	}
	seen := o.polledAt
	if before.Observed != nil && before.Observed.Revision == revision {
		seen = before.Observed.FirstSeenAt.Time
	}
	return max(0, now.Sub(seen)), true
}

// answered counts what the artifact server answered. Its codes are its own.
func (m *Metrics) answered(code int, sent int64) {
	m.answers.WithLabelValues(codeLabel(code)).Inc()
	m.sent.Add(float64(sent))
}

var (
	artifactsDesc = prometheus.NewDesc("assay_artifacts",
		"Archives that are in place, superseded ones that are still served among them.", nil, nil)
	artifactBytesDesc = prometheus.NewDesc("assay_artifact_bytes",
		"Bytes of the archives that are in place, without the signatures that are kept beside them.", nil, nil)
	buildDesc = prometheus.NewDesc("assay_build_info",
		"The version of the controller and of Go that it was built with; always 1.", []string{"version", "goversion"}, nil)
)

// heldCollector asks the store at every scrape.
type heldCollector struct{ held func() (int, int64) }

func (c *heldCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- artifactsDesc
	descs <- artifactBytesDesc
}

func (c *heldCollector) Collect(metrics chan<- prometheus.Metric) {
	if c.held == nil {
		return
	}
	archives, bytes := c.held()
	metrics <- prometheus.MustNewConstMetric(artifactsDesc, prometheus.GaugeValue, float64(archives))
	metrics <- prometheus.MustNewConstMetric(artifactBytesDesc, prometheus.GaugeValue, float64(bytes))
}

type buildCollector struct{ version string }

func (c *buildCollector) Describe(descs chan<- *prometheus.Desc) { descs <- buildDesc }

func (c *buildCollector) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(buildDesc, prometheus.GaugeValue, 1, c.version, runtime.Version())
}
