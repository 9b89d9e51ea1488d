package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
)

// cached is a cache of ModuleSources.
type cached struct {
	items []v1alpha1.ModuleSource
	err   error
}

func (c *cached) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("not asked for")
}

func (c *cached) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.ModuleSourceList).Items = c.items
	return c.err
}

func sourceNamed(name string, status v1alpha1.ModuleSourceStatus) v1alpha1.ModuleSource {
	return v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: name, UID: types.UID("uid of " + name)},
		Spec:       v1alpha1.ModuleSourceSpec{URL: "oci://ghcr.io/org/" + name, Interval: metav1.Duration{Duration: time.Minute}},
		Status:     status,
	}
}

func elected() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Each source has its series: one that is published, one that keeps what was
// published before a refusal, one that is suspended, and one that nobody has
// looked at.
func TestSourceSeries(t *testing.T) {
	good, keeps, fresh := sourceNamed("good", statusOf(published)), sourceNamed("keeps", statusOf(keeping)), sourceNamed("fresh", statusOf(nothing))
	fresh.Spec.Suspend, fresh.Spec.Interval = true, metav1.Duration{}
	cache := &cached{items: []v1alpha1.ModuleSource{good, keeps, fresh}}
	c := &sourceCollector{sources: cache, elected: elected()}
	c.polled(&good, noon.Add(1500*time.Millisecond))

	at := float64(noon.Unix())
	const p = "assay_modulesource_"
	want := map[string]float64{
		p + "condition name=good namespace=apps reason=SignatureVerified status=True type=Verified":                                  1,
		p + "condition name=good namespace=apps reason=SignatureVerified status=True type=Ready":                                     1,
		p + "condition name=good namespace=apps reason=ArtifactPublished status=True type=ArtifactInStorage":                         1,
		p + "condition_last_transition_timestamp_seconds name=good namespace=apps type=Verified":                                     at,
		p + "condition_last_transition_timestamp_seconds name=good namespace=apps type=Ready":                                        at,
		p + "info name=good namespace=apps observed=1.0.0@" + first + " published=1.0.0@" + first + " url=oci://ghcr.io/org/good":    1,
		p + "suspended name=good namespace=apps":                                                                                     0,
		p + "interval_seconds name=good namespace=apps":                                                                              60,
		p + "revision_first_seen_timestamp_seconds name=good namespace=apps":                                                         at,
		p + "last_successful_poll_timestamp_seconds name=good namespace=apps":                                                        at + 1.5,
		p + "condition name=keeps namespace=apps reason=NoSignature status=False type=Verified":                                      1,
		p + "condition name=keeps namespace=apps reason=NoSignature status=False type=Ready":                                         1,
		p + "condition name=keeps namespace=apps reason=NoSignature status=True type=Stalled":                                        1,
		p + "condition name=keeps namespace=apps reason=ArtifactPublished status=False type=ArtifactInStorage":                       1,
		p + "condition_last_transition_timestamp_seconds name=keeps namespace=apps type=Verified":                                    at,
		p + "condition_last_transition_timestamp_seconds name=keeps namespace=apps type=Ready":                                       at,
		p + "info name=keeps namespace=apps observed=1.1.0@" + second + " published=1.0.0@" + first + " url=oci://ghcr.io/org/keeps": 1,
		p + "suspended name=keeps namespace=apps":                                                                                    0,
		p + "interval_seconds name=keeps namespace=apps":                                                                             60,
		p + "revision_first_seen_timestamp_seconds name=keeps namespace=apps":                                                        at,
		p + "info name=fresh namespace=apps observed= published= url=oci://ghcr.io/org/fresh":                                        1,
		p + "suspended name=fresh namespace=apps":                                                                                    1,
		p + "interval_seconds name=fresh namespace=apps":                                                                             v1alpha1.DefaultInterval.Seconds(),
	}
	if diff := cmp.Diff(want, gather(t, c)); diff != "" {
		t.Errorf("series (-expected +found):\n%s", diff)
	}

	// Another object of the same name was not polled yet, and none is left of
	// those that are gone.
	again := good
	again.UID = "another"
	cache.items = []v1alpha1.ModuleSource{again}
	delete(want, p+"last_successful_poll_timestamp_seconds name=good namespace=apps")
	for series := range want {
		if !strings.Contains(series, "name=good") {
			delete(want, series)
		}
	}
	if diff := cmp.Diff(want, gather(t, c)); diff != "" {
		t.Errorf("series of another object (-expected +found):\n%s", diff)
	}
	cache.items = []v1alpha1.ModuleSource{good}
	c.forget(types.NamespacedName{Namespace: "apps", Name: "good"})
	if _, ok := c.lastPoll(&good); ok {
		t.Error("expected the poll to be forgotten")
	}
	cache.items = nil
	if found := gather(t, c); len(found) != 0 {
		t.Errorf("expected nothing, found %v", found)
	}
}

// A replica that does not lead tells of no source, and asks no cache.
func TestSourceSeriesOfAFollower(t *testing.T) {
	c := &sourceCollector{sources: &cached{err: errors.New("asked")}, elected: make(chan struct{})}
	if found := gather(t, c); len(found) != 0 {
		t.Errorf("expected nothing, found %v", found)
	}
	c.elected = elected()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	if _, err := r.Gather(); err == nil || !strings.Contains(err.Error(), "asked") {
		t.Errorf("expected the cache's error, found %v", err)
	}
}

// A revision is as long as a registry makes its tag, and a label is not.
func TestRevisionLabelIsBounded(t *testing.T) {
	status := statusOf(published)
	status.Observed.Revision = "1.0.0-" + strings.Repeat("a", 10_000) + "@" + first
	c := &sourceCollector{sources: &cached{items: []v1alpha1.ModuleSource{sourceNamed("app", status)}}, elected: elected()}
	for series := range gather(t, c) {
		if len(series) > 500 {
			t.Errorf("expected short labels, found %d bytes", len(series))
		}
	}
}

func TestSinceFirstSeen(t *testing.T) {
	revision := registry.Revision{Version: "1.1.0", Digest: second}
	now := noon.Add(time.Hour)
	seen := func(revision string, ago time.Duration) *v1alpha1.ObservedRevision {
		return &v1alpha1.ObservedRevision{Revision: revision, FirstSeenAt: metav1.NewTime(now.Add(-ago))}
	}
	verified := outcome{polled: true, polledAt: now.Add(-3 * time.Second), sync: source.Outcome{Revision: revision, Published: artifact.Published{Digest: "sha256:b"}}}
	for name, tt := range map[string]struct {
		before v1alpha1.ModuleSourceStatus
		o      outcome
		want   time.Duration
		none   bool
	}{
		"seen by this poll":       {before: statusOf(published), o: verified, want: 3 * time.Second},
		"the first of all":        {before: statusOf(nothing), o: verified, want: 3 * time.Second},
		"seen before":             {before: v1alpha1.ModuleSourceStatus{Observed: seen(revision.String(), time.Minute)}, o: verified, want: time.Minute},
		"another was seen before": {before: v1alpha1.ModuleSourceStatus{Observed: seen("1.0.9@"+first, time.Minute)}, o: verified, want: 3 * time.Second},
		"seen in the future":      {before: v1alpha1.ModuleSourceStatus{Observed: seen(revision.String(), -time.Minute)}, o: verified},
		"not published":           {before: statusOf(published), o: outcome{polled: true, sync: source.Outcome{Revision: revision}}, none: true},
		"published before": {before: func() v1alpha1.ModuleSourceStatus {
			s := statusOf(published)
			s.Artifact.Revision = revision.String()
			return s
		}(), o: verified, none: true},
		"published once": {before: v1alpha1.ModuleSourceStatus{History: []v1alpha1.VerifiedRevision{{Revision: revision.String()}}}, o: verified, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			after := v1alpha1.ModuleSourceStatus{Observed: seen(revision.String(), 0)}
			found, ok := sinceFirstSeen(&tt.before, &after, tt.o, now)
			if found != tt.want || ok == tt.none {
				t.Errorf("expected %s, found %s, %t", tt.want, found, ok)
			}
		})
	}
}

// A look counts as a poll where the registry answered and that was judged, and
// as a retry where it is to be made again.
func TestLooksAreCounted(t *testing.T) {
	failed := func(kind source.Kind, reason string) *source.Error { return &source.Error{Kind: kind, Reason: reason} }
	for name, tt := range map[string]struct {
		o     outcome
		poll  bool
		retry string
	}{
		"unchanged":       {o: outcome{polled: true, sync: source.Outcome{Unchanged: true}}, poll: true},
		"refused":         {o: outcome{polled: true, err: failed(source.Refused, "NoSignature")}, poll: true},
		"unavailable":     {o: outcome{polled: true, err: failed(source.Transient, "RegistryUnavailable")}, retry: "RegistryUnavailable"},
		"awaiting":        {o: outcome{polled: true, err: failed(source.Transient, "AwaitingSignature")}, retry: "AwaitingSignature"},
		"inputs":          {o: outcome{err: failed(source.Transient, "TrustUnavailable")}, retry: "TrustUnavailable"},
		"invalid":         {o: outcome{err: failed(source.Invalid, "InvalidSpec")}},
		"not polled":      {},
		"refused, no ask": {o: outcome{err: failed(source.Refused, "TrustWithdrawn")}},
	} {
		t.Run(name, func(t *testing.T) {
			obj := sourceNamed("app", statusOf(nothing))
			m := NewMetrics(MetricsOptions{})
			m.look(&obj, tt.o, noon)
			if _, ok := m.sources.lastPoll(&obj); ok != tt.poll {
				t.Errorf("a poll: expected %t, found %t", tt.poll, ok)
			}
			want := map[string]float64{}
			if tt.retry != "" {
				want["assay_retries_total reason="+tt.retry] = 1
			}
			if diff := cmp.Diff(want, gather(t, m.retries)); diff != "" {
				t.Errorf("retries (-expected +found):\n%s", diff)
			}
		})
	}
}

// BenchmarkScrape is one scrape of 10,000 sources, over HTTP and compressed as
// Prometheus asks for it.
func BenchmarkScrape(b *testing.B) {
	cache := &cached{}
	m := NewMetrics(MetricsOptions{Sources: cache, Elected: elected(), Held: func() (int, int64) { return 10_000, 1 << 30 }, Version: "v1.0.0"})
	for i := range 10_000 {
		obj := sourceNamed(fmt.Sprintf("module-%d", i), statusOf(keeping))
		cache.items = append(cache.items, obj)
		m.sources.polled(&obj, noon)
	}
	r := prometheus.NewRegistry()
	for _, c := range m.Collectors() {
		r.MustRegister(c)
	}
	handler := promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	families, err := r.Gather()
	if err != nil {
		b.Fatal(err)
	}
	series := 0
	for _, family := range families {
		series += len(family.GetMetric())
	}
	b.ReportAllocs()
	bytes := 0
	for b.Loop() {
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Accept-Encoding", "gzip")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		bytes = answer.Body.Len()
	}
	b.ReportMetric(float64(series), "series")
	b.ReportMetric(float64(bytes), "sent-bytes")
}
