package trust

import "github.com/prometheus/client_golang/prometheus"

var (
	ageDesc = prometheus.NewDesc("assay_trusted_root_age_seconds",
		"Seconds since the default trusted root was last confirmed by a refresh that succeeded; absent before the first.", nil, nil)
	failuresOpts = prometheus.CounterOpts{
		Name: "assay_trusted_root_refresh_failures_total",
		Help: "Refreshes of the default trusted root that failed.",
	}
)

// Collectors are what is to be registered.
func (s *Source) Collectors() []prometheus.Collector {
	return []prometheus.Collector{ageCollector{s}, s.failures}
}

// ageCollector reports the age at every scrape. A gauge would report one before
// there is a root.
type ageCollector struct{ source *Source }

func (c ageCollector) Describe(descs chan<- *prometheus.Desc) { descs <- ageDesc }

func (c ageCollector) Collect(metrics chan<- prometheus.Metric) {
	confirmed := c.source.state.Load().confirmed
	if confirmed.IsZero() {
		return
	}
	metrics <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, c.source.now().Sub(confirmed).Seconds())
}
