package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/assay-dev/assay/internal/registry"
)

// kindsOfRequest are all.
var kindsOfRequest = []registry.Kind{
	registry.KindPing, registry.KindToken, registry.KindTags, registry.KindManifest, registry.KindReferrers, registry.KindBlob,
}

// Whatever hosts tenants name, and whatever codes are answered: there are so
// many series and no more, which are those that docs/metrics.md says.
func TestRegistrySeriesAreBounded(t *testing.T) {
	const hosts, codes, kinds = 101, 29, 6
	m := newRegistryMetrics()
	for i := range 10_000 {
		host := fmt.Sprintf("registry-%d.example.com:5000", i)
		e := registry.Exchange{Host: host, Kind: kindsOfRequest[i%kinds], Code: i % 1000, Took: time.Second}
		m.exchanged(e)
		m.read(host, 1)
	}
	for host := range m.hosts.known {
		for code := range 1000 {
			for _, kind := range kindsOfRequest {
				m.exchanged(registry.Exchange{Host: host, Kind: kind, Code: code})
				m.exchanged(registry.Exchange{Host: "another.example.com", Kind: kind, Code: code})
			}
		}
	}
	if n := testutil.CollectAndCount(m.requests); n != hosts*codes*kinds {
		t.Errorf("expected %d series of requests, found %d", hosts*codes*kinds, n)
	}
	if n := testutil.CollectAndCount(m.received); n != hosts {
		t.Errorf("expected %d series of bytes, found %d", hosts, n)
	}
	if n := testutil.CollectAndCount(m.durations); n != kinds {
		t.Errorf("expected %d series of durations, found %d", kinds, n)
	}
	if n := testutil.ToFloat64(m.received.WithLabelValues(otherHost)); n != 10_000-maxHostLabels {
		t.Errorf("expected nothing to be lost, found %g of others", n)
	}
}

// Names of nothing do not take the room of registries, and who has a label keeps
// it.
func TestHostsThatNeverAnswer(t *testing.T) {
	var h hostLabels
	for i := range 10_000 {
		h.of(fmt.Sprintf("nothing-%d.example.com", i), false)
	}
	if n := len(h.known); n != maxHostLabels/2 {
		t.Errorf("expected %d hosts, found %d", maxHostLabels/2, n)
	}
	for i := range maxHostLabels / 2 {
		host := fmt.Sprintf("Registry-%d.example.com", i)
		if found := h.of(host, true); found != fmt.Sprintf("registry-%d.example.com", i) {
			t.Errorf("%s: found %s", host, found)
		}
	}
	for host, want := range map[string]string{
		"ghcr.io": otherHost, "nothing-0.example.com": "nothing-0.example.com", "registry-0.example.com": "registry-0.example.com",
	} {
		for _, answered := range []bool{true, false} {
			if found := h.of(host, answered); found != want {
				t.Errorf("%s: expected %s, found %s", host, want, found)
			}
		}
	}
}

func TestCodeLabel(t *testing.T) {
	for code, want := range map[int]string{
		200: "200", 201: "2xx", 299: "2xx", 307: "307", 418: "4xx", 429: "429", 500: "500", 501: "5xx", 599: "5xx",
		600: "invalid", 999: "invalid", 100: "1xx", 99: "invalid", -1: "invalid",
	} {
		if found := codeLabel(code); found != want {
			t.Errorf("%d: expected %s, found %s", code, want, found)
		}
	}
}

// A request is counted once, and timed if it was answered.
func TestExchangesAreCounted(t *testing.T) {
	m := newRegistryMetrics()
	for _, e := range []registry.Exchange{
		{Host: "a:1", Kind: registry.KindBlob, Code: 200, Took: 30 * time.Millisecond},
		{Host: "a:1", Kind: registry.KindBlob, Code: 200, Took: 30 * time.Millisecond},
		{Host: "a:1", Kind: registry.KindToken, Code: 503, Took: 2 * time.Second},
		{Host: "b", Kind: registry.KindToken, Took: time.Minute},
	} {
		m.exchanged(e)
	}
	m.read("a:1", 7)
	m.read("a:1", 5)
	want := map[string]float64{
		"assay_registry_requests_total code=200 host=a:1 kind=blob": 2, "assay_registry_requests_total code=503 host=a:1 kind=token": 1,
		"assay_registry_requests_total code=error host=b kind=token": 1,
		"assay_registry_request_duration_seconds kind=blob":          2,
		"assay_registry_request_duration_seconds_sum kind=blob":      0.06,
		"assay_registry_request_duration_seconds kind=token":         1,
		"assay_registry_request_duration_seconds_sum kind=token":     2,
		"assay_registry_received_bytes_total host=a:1":               12,
	}
	if diff := cmp.Diff(want, gather(t, m.collectors()...)); diff != "" {
		t.Errorf("series (-expected +found):\n%s", diff)
	}
}

// gather is what collectors report, by name and labels; of histograms the number
// and the sum.
func gather(t testing.TB, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		r.MustRegister(c)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += " " + l.GetName() + "=" + l.GetValue()
			}
			h := m.GetHistogram()
			found[family.GetName()+labels] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(h.GetSampleCount())
			if h != nil {
				found[family.GetName()+"_sum"+labels] = h.GetSampleSum()
			}
		}
	}
	return found
}
