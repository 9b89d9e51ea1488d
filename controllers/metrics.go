package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Metrics are Assay's own metrics, beside those of controller-runtime.
type Metrics struct {
	verifications *prometheus.CounterVec
	panics        prometheus.Counter
	steps         *prometheus.HistogramVec
	conditions    *conditionCollector
}

// NewMetrics makes the metrics. The conditions are read from sources at every
// scrape, once elected is closed: replicas that only wait report none.
func NewMetrics(sources client.Reader, elected <-chan struct{}) *Metrics {
	return &Metrics{
		verifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_verifications_total",
			Help: "Verdicts that were reached, by result (verified, refused) and condition reason.",
		}, []string{"result", "reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "assay_verification_panics_total",
			Help: "Panics over untrusted bytes that were caught while judging, each of which refused a signature: defects to be reported.",
		}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "assay_step_duration_seconds",
			Help:    "Time that a step of the way from a repository to a published artifact took.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"step"}),
		conditions: &conditionCollector{sources: sources, elected: elected},
	}
}

// Collectors are what is to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.verifications, m.panics, m.steps, m.conditions}
}

// ObserveStep notes how long a step took.
func (m *Metrics) ObserveStep(step source.Step, took time.Duration) {
	m.steps.WithLabelValues(string(step)).Observe(took.Seconds())
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

var conditionDesc = prometheus.NewDesc("assay_modulesource_condition",
	"Conditions of ModuleSources; 1 for the status that a condition has.",
	[]string{"namespace", "name", "type", "status"}, nil)

// conditionCollector reports from the cache at every scrape, so that no series
// outlives its object.
type conditionCollector struct {
	sources client.Reader
	elected <-chan struct{}
}

func (c *conditionCollector) Describe(descs chan<- *prometheus.Desc) { descs <- conditionDesc }

func (c *conditionCollector) Collect(metrics chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var list v1alpha1.ModuleSourceList
	if err := c.sources.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		metrics <- prometheus.NewInvalidMetric(conditionDesc, err)
		return
	}
	for i := range list.Items {
		source := &list.Items[i]
		for _, condition := range source.Status.Conditions {
			metrics <- prometheus.MustNewConstMetric(conditionDesc, prometheus.GaugeValue, 1,
				source.Namespace, source.Name, condition.Type, string(condition.Status))
		}
	}
}
