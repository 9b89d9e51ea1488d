package trust

import "github.com/prometheus/client_golang/prometheus"

var (
	ageDesc = prometheus.NewDesc("assay_trusted_root_age_seconds",
		"Seconds since the default trusted root was last confirmed by a refresh that succeeded; absent before the first.", nil, nil)
	expiryDesc = prometheus.NewDesc("assay_trusted_root_expiry_timestamp_seconds",
		"Time at which the default trusted root is not used any more unless a refresh succeeds before, because the first of its TUF metadata expires; absent before the first refresh, and for a file.", nil, nil)
	failuresOpts = prometheus.CounterOpts{
		Name: "assay_trusted_root_refresh_failures_total",
		Help: "Refreshes of the default trusted root that failed.",
	}
)

// Collectors are what is to be registered.
func (s *Source) Collectors() []prometheus.Collector {
	return []prometheus.Collector{rootCollector{s}, s.failures}
}

// rootCollector reports the root's age and end at every scrape. Gauges would
// report some before there is a root.
type rootCollector struct{ source *Source }

func (c rootCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- ageDesc
	descs <- expiryDesc
}

func (c rootCollector) Collect(metrics chan<- prometheus.Metric) {
	known := c.source.state.Load()
	if !known.confirmed.IsZero() {
		metrics <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, c.source.now().Sub(known.confirmed).Seconds())
	}
	if !known.expires.IsZero() {
		metrics <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(known.expires.Unix()))
	}
}
