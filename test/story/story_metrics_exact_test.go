package story

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/registry"
)

// once is an interceptor for the first request that it sees.
func once(i registry.Interceptor) registry.Interceptor {
	var seen atomic.Bool
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if seen.Swap(true) {
			next.ServeHTTP(w, r)
			return
		}
		i(w, r, next)
	}
}

// everything is a world whose controller holds a Lease, and whose registry asks
// for tokens.
func everything(t *testing.T) *world {
	t.Helper()
	receiver := newFlux(t)
	w := newWorld(t, settings{
		registry: registry.Options{Auth: &registry.TokenAuth{}},
		options: func(o *controllers.Options) {
			o.EventsAddr = receiver.url
			o.LeaderElect, o.LeaderElectionNamespace, o.Version = true, o.WatchNamespaces[0], "v1.2.3"
		},
	})
	w.release("good", "1.0.0", "bundle")
	w.push("bad", "1.0.0", nil)
	w.release("asleep", "1.0.0", "bundle")
	w.registry.Reset()
	return w
}

// A known run has known figures: one source that is published, one that is
// refused, one that is suspended; a registry that fails once and is tried again,
// and then asks to be left alone.
func TestStoryMetricsAreExact(t *testing.T) {
	t.Parallel()
	w := everything(t)
	w.apply("good", w.spec("good", versioned("1.0.0")))
	w.apply("bad", w.spec("bad", versioned("1.0.0")))
	w.apply("asleep", w.spec("asleep", suspend))
	good := w.ready("good")
	w.settled("bad")
	w.settled("asleep")

	at := " host=" + w.registry.Host() + " kind="
	requests := map[string]float64{
		"code=401" + at + "ping": 2, "code=200" + at + "token": 2, // Each repository has a session.
		"code=200" + at + "manifest": 4, "code=404" + at + "manifest": 2, "code=200" + at + "referrers": 2, "code=200" + at + "blob": 3,
	}
	verdicts := map[string]float64{"reason=SignatureVerified result=verified": 1, "reason=NoSignature result=refused": 1}
	w.awaitAll(map[string]map[string]float64{
		"assay_registry_requests_total":           requests,
		"assay_registry_request_duration_seconds": {"kind=ping": 2, "kind=token": 2, "kind=manifest": 6, "kind=referrers": 2, "kind=blob": 3},
		"assay_verifications_total":               verdicts,
		"assay_verification_panics_total":         {"": 0},
		"assay_retries_total":                     {},
		"assay_step_duration_seconds":             {"step=resolve": 2, "step=signatures": 2, "step=verify": 2, "step=fetch": 1, "step=publish": 1},
		"assay_first_seen_to_verified_seconds":    {"": 1},
		"assay_artifacts":                         {"": 1},
		"assay_artifact_bytes":                    {"": float64(*good.Status.Artifact.Size)},
		"assay_artifact_requests_total":           {},
	})

	// A registry that fails is asked again.
	w.registry.Intercept(once(registry.On(http.MethodHead, registry.KindManifests, registry.Respond(http.StatusServiceUnavailable, nil, nil))))
	w.poll("bad")
	w.awaitCondition("bad", "FetchFailed", "")
	requests["code=503"+at+"manifest"] = 1
	requests["code=200"+at+"manifest"]++ // What is refused is looked at again.
	requests["code=404"+at+"manifest"]++
	requests["code=200"+at+"referrers"]++
	verdicts["reason=NoSignature result=refused"]++
	retries := map[string]float64{"reason=RegistryUnavailable": 1}
	w.awaitAll(map[string]map[string]float64{
		"assay_registry_requests_total": requests, "assay_verifications_total": verdicts, "assay_retries_total": retries,
	})

	// One that wants to be left alone is.
	w.registry.Intercept(registry.On(http.MethodHead, registry.KindManifests, registry.Respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"3600"}}, nil)))
	w.poll("good")
	requests["code=429"+at+"manifest"] = 1
	retries["reason=RateLimited"] = 1
	w.awaitAll(map[string]map[string]float64{
		"assay_registry_requests_total": requests, "assay_verifications_total": verdicts, "assay_retries_total": retries,
	})

	_, body := download(t, good.Status.Artifact.URL)
	download(t, good.Status.Artifact.URL+"x")
	w.awaitAll(map[string]map[string]float64{
		"assay_artifact_requests_total":   {"code=200": 1, "code=404": 1},
		"assay_artifact_sent_bytes_total": {"": float64(len(body) + len("not found\n"))},
	})
	if received := w.series("assay_registry_received_bytes_total"); len(received) != 1 || received["host="+w.registry.Host()] < 1000 {
		t.Errorf("expected the bytes of one host, found %v", received)
	}
	w.checkSources()
	w.checkFollower()
	w.checkPage()

	for _, name := range []string{"good", "bad", "asleep"} {
		w.delete(object(w, name))
	}
	gone := map[string]map[string]float64{"assay_artifacts": {"": 0}, "assay_artifact_bytes": {"": 0}}
	for name := range w.listed() {
		if strings.HasPrefix(name, "assay_modulesource_") {
			gone[name] = map[string]float64{}
		}
	}
	w.awaitAll(gone)
}

func (w *world) awaitAll(want map[string]map[string]float64) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w.awaitSeries(name, want[name])
	}
}

// checkSources compares the series of the sources with their objects.
func (w *world) checkSources() {
	w.t.Helper()
	suspended, info := map[string]float64{}, map[string]float64{}
	seen, interval, transitions := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for name, asleep := range map[string]float64{"good": 0, "bad": 0, "asleep": 1} {
		obj := w.get(name)
		is := "name=" + name + " namespace=" + w.namespace
		observed, published := "", ""
		if o := obj.Status.Observed; o != nil {
			observed, seen[is] = o.Revision, float64(o.FirstSeenAt.Unix())
		}
		if obj.Status.Artifact != nil {
			published = obj.Status.Artifact.Revision
		}
		suspended[is], interval[is] = asleep, 3600
		info[is+" observed="+observed+" published="+published+" url="+obj.Spec.URL] = 1
		for _, c := range obj.Status.Conditions {
			if c.Type == "Ready" || c.Type == "Verified" {
				transitions[is+" type="+c.Type] = float64(c.LastTransitionTime.Unix())
			}
		}
	}
	w.awaitAll(map[string]map[string]float64{
		"assay_modulesource_suspended": suspended, "assay_modulesource_info": info, "assay_modulesource_interval_seconds": interval,
		"assay_modulesource_revision_first_seen_timestamp_seconds":       seen,
		"assay_modulesource_condition_last_transition_timestamp_seconds": transitions,
	})
	polls := w.series("assay_modulesource_last_successful_poll_timestamp_seconds")
	for _, name := range []string{"good", "bad"} {
		if at := polls["name="+name+" namespace="+w.namespace]; at < seen["name="+name+" namespace="+w.namespace] {
			w.t.Errorf("%s: expected the time of a poll, found %g", name, at)
		}
	}
	if len(polls) != 2 {
		w.t.Errorf("expected the polls of two sources, found %v", polls)
	}
}

// checkFollower starts another replica, which tells of no source.
func (w *world) checkFollower() {
	w.t.Helper()
	follower := *w
	follower.storage, follower.controller = w.t.TempDir(), nil
	follower.start()
	follower.awaitThat("the follower has metrics", func() bool { return len(follower.series("assay_build_info")) == 1 })
	for name := range w.listed() {
		if found := follower.series(name); strings.HasPrefix(name, "assay_modulesource_") && len(found) > 0 {
			w.t.Errorf("expected a follower not to tell of sources, found %s %v", name, found)
		}
	}
	follower.stopController()
}

// row is a metric of docs/metrics.md: its labels and its type, "" for those of
// controller-runtime.
type row struct{ labels, kind string }

// listed are the metrics of docs/metrics.md by name.
func (w *world) listed() map[string]row {
	w.t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		w.t.Fatal(err)
	}
	rows := map[string]row{}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		names, rest, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		kind, _, _ := strings.Cut(rest, " ")
		for _, m := range regexp.MustCompile("`([a-z_]+)(?:\\{([a-z,]*)\\})?`").FindAllStringSubmatch(names, -1) {
			if !strings.HasPrefix(m[1], "assay_") {
				kind = ""
			}
			labels := strings.Split(m[2], ",")
			slices.Sort(labels)
			rows[m[1]] = row{strings.Join(labels, ","), kind}
		}
	}
	if len(rows) < 30 {
		w.t.Fatalf("expected the metrics of docs/metrics.md, found %d", len(rows))
	}
	return rows
}

// checkPage compares what is served with docs/metrics.md: names, labels, types.
// The trusted root's are absent while nobody needs one.
func (w *world) checkPage() {
	w.t.Helper()
	found := map[string]row{}
	for _, from := range []prometheus.Gatherer{w.metrics, ctrlmetrics.Registry} {
		families, err := from.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, family := range families {
			var labels []string
			for _, l := range family.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			r := row{labels: strings.Join(labels, ",")}
			if strings.HasPrefix(family.GetName(), "assay_") {
				r.kind = strings.ToLower(family.GetType().String())
			}
			found[family.GetName()] = r
		}
	}
	listed := w.listed()
	for _, absent := range []string{"assay_trusted_root_age_seconds", "assay_trusted_root_expiry_timestamp_seconds"} {
		delete(listed, absent)
	}
	for name := range found {
		if _, ok := listed[name]; !ok && !strings.HasPrefix(name, "assay_") {
			delete(found, name) // Controller-runtime has many.
		}
	}
	if diff := cmp.Diff(listed, found, cmp.AllowUnexported(row{})); diff != "" {
		w.t.Errorf("docs/metrics.md, and what is served (-document +served):\n%s", diff)
	}
}
