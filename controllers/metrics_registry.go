package controllers

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-dev/assay/internal/registry"
)

const (
	// maxHostLabels is how many hosts have series of their own: tenants choose
	// them. Those that have never answered have no more than half of them, so that
	// names of nothing leave room for registries.
	maxHostLabels = 100
	// otherHost stands for all the others.
	otherHost = "other"
)

// registryMetrics are about requests to registries.
type registryMetrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	received  *prometheus.CounterVec
	hosts     hostLabels
}

func newRegistryMetrics() *registryMetrics {
	return &registryMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_registry_requests_total",
			Help: "Requests to registries, retries and redirects among them, by the host of the repository that was asked for, the HTTP status (or error for no answer), and what was asked for.",
		}, []string{"host", "code", "kind"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "assay_registry_request_duration_seconds",
			Help:    "Time from a request to a registry until the header of its answer, for requests that were answered.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"kind"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_registry_received_bytes_total",
			Help: "Bytes of bodies that were read from registries, by the host of the repository that was asked for.",
		}, []string{"host"}),
	}
}

func (m *registryMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.durations, m.received}
}

// exchanged counts a request.
func (m *registryMetrics) exchanged(e registry.Exchange) {
	code := "error"
	if e.Code != 0 {
		code = codeLabel(e.Code)
		m.durations.WithLabelValues(string(e.Kind)).Observe(e.Took.Seconds())
	}
	m.requests.WithLabelValues(m.hosts.of(e.Host, e.Code != 0), code, string(e.Kind)).Inc()
}

// read counts bytes of an answer.
func (m *registryMetrics) read(host string, n int) {
	m.received.WithLabelValues(m.hosts.of(host, true)).Add(float64(n))
}

// codeLabels are the codes that have a label of their own: those that mean
// something to a client of a registry, or that the artifact server answers with.
var codeLabels = []int{
	200, 206, 301, 302, 303, 304, 307, 308,
	400, 401, 403, 404, 405, 406, 408, 412, 416, 429,
	500, 502, 503, 504,
}

// codeLabel is a status as a label; whoever answers may choose any of three
// digits, and of those that nobody expects it names the class.
func codeLabel(code int) string {
	switch {
	case slices.Contains(codeLabels, code):
		return strconv.Itoa(code)
	case code >= 100 && code < 600:
		return strconv.Itoa(code/100) + "xx"
	default:
		return "invalid"
	}
}

// hostLabels remembers which hosts have a label. None loses it: its counters
// would begin anew.
type hostLabels struct {
	mu    sync.RWMutex
	known map[string]bool
}

// of is a host's label.
func (h *hostLabels) of(host string, answered bool) string {
	host = strings.ToLower(host)
	h.mu.RLock()
	known := h.known[host]
	h.mu.RUnlock()
	if known {
		return host
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := maxHostLabels
	if !answered {
		limit /= 2
	}
	if len(h.known) >= limit && !h.known[host] {
		return otherHost
	}
	if h.known == nil {
		h.known = map[string]bool{}
	}
	h.known[host] = true
	return host
}
