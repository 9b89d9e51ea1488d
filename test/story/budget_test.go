package story

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// ledger counts what a world costs, phase by phase.
type ledger struct {
	*world

	mu          sync.Mutex
	connections map[string]bool // by the client's address, since the start
	known       int             // of them, at the last phase
	hook        func(r *http.Request)
	table       []string
}

// newLedger is a world whose registry gives a token to everybody, so that
// tokens can be counted.
func newLedger(t *testing.T, kind string, o registry.Options) *ledger {
	t.Helper()
	o.Auth = &registry.TokenAuth{}
	l := &ledger{world: newWorld(t, settings{kind: kind, registry: o}), connections: map[string]bool{}}
	l.registry.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		l.mu.Lock()
		hook := l.hook
		if byController(r) {
			l.connections[r.RemoteAddr] = true
		}
		l.mu.Unlock()
		if hook != nil {
			hook(r)
		}
		next.ServeHTTP(w, r)
	})
	return l
}

// byController tells the controller's requests from those of a test.
func byController(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "assay-test") }

// cost is what a phase may cost, exactly.
type cost struct {
	requests    map[string]int
	connections int
	writes      []string // what, in the order in which it is written
	budget      int      // the design's, of requests
}

// The writes of a status and of an event.
const statusPatch, eventCreate = "PATCH status", "POST events"

// spend does something, and holds what it costs against what it may.
func (l *ledger) spend(what string, want cost, do func()) {
	l.t.Helper()
	l.registry.Reset()
	l.controller.writes.take()
	do()
	var writes []string
	deadline := time.Now().Add(patience)
	for len(writes) < len(want.writes) && time.Now().Before(deadline) { // Events are written in the background.
		writes = append(writes, brief(l.controller.writes.take())...)
		time.Sleep(5 * time.Millisecond)
	}
	if diff := cmp.Diff(want.writes, writes); diff != "" {
		l.t.Errorf("%s: writes at the API server (-expected +found):\n%s", what, diff)
	}
	if diff := cmp.Diff(want.requests, l.registry.Counts()); diff != "" {
		l.t.Errorf("%s: requests at the registry (-expected +found):\n%s\n%v", what, diff, l.registry.Requests())
	}
	l.mu.Lock()
	connections := len(l.connections) - l.known
	l.known = len(l.connections)
	l.mu.Unlock()
	if connections != want.connections {
		l.t.Errorf("%s: expected %d new connections, found %d", what, want.connections, connections)
	}
	total := len(l.registry.Requests())
	if want.budget > 0 && total > want.budget {
		l.t.Errorf("%s: %d requests exceed the design's budget of %d", what, total, want.budget)
	}
	l.table = append(l.table, fmt.Sprintf("%-13s %-58s %2d requests %-90s budget %2d  %d connections  %d writes", l.kind, what, total, itemised(want.requests), want.budget, connections, len(writes)))
}

// close ends the world's controller, after which nothing more can be written,
// and shows the table.
func (l *ledger) close() {
	l.t.Helper()
	l.controller.writes.take()
	writes := l.controller.writes
	l.stopController()
	if late := brief(writes.take()); len(late) > 0 {
		l.t.Errorf("written after everything was counted: %v", late)
	}
	l.t.Log("\n" + strings.Join(l.table, "\n"))
}

// brief leaves out of writes whose they are.
func brief(writes []string) []string {
	var short []string
	for _, w := range writes {
		method, path, _ := strings.Cut(w, " ")
		short = append(short, method+" "+path[strings.LastIndex(path, "/")+1:])
	}
	return short
}

func itemised(counts map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// requests of the ways to a published artifact and to a refusal: those to look
// signatures up depend on whether the registry has the referrers API.
func (l *ledger) requests(head, manifests, blobs int) map[string]int {
	counts := map[string]int{"HEAD manifests": head, "GET manifests": manifests, "GET blobs": blobs}
	if l.kind == "referrers" {
		counts["GET referrers"] = 1
	} else {
		counts["GET manifests"]++ // The fallback tag.
	}
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

// The work of one ModuleSource, in the order in which it comes.
func TestBudget(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, kind, registry.Options{})
			release := func(format string, n int) string {
				digest := l.pushAs("app", "latest", module.Options{Version: "1.0.0", Files: map[string]string{"n": fmt.Sprint(n)}})
				if format != "" {
					l.sign("app", digest, format, l.key)
				}
				return digest
			}
			poll := func() *v1alpha1.ModuleSource { return l.poll("app") }
			published := func(digest string) {
				t.Helper()
				wantConditions(t, l.get("app"), map[string]string{"Ready": "True/SignatureVerified"})
				if a := l.get("app").Status.Artifact; a == nil || a.Revision != "latest@"+digest {
					t.Fatalf("expected latest@%s, found %+v", digest, a)
				}
			}
			both := []string{statusPatch, eventCreate}
			const layers = 2

			// First contact: a ping, a token, and to learn that there is no
			// referrers API.
			digest := release("cosign", 1)
			first := l.requests(1, 2, 1+layers)
			first["GET ping"], first["GET token"], first["GET referrers"] = 1, 1, 1
			l.spend("first contact, Cosign v2 signature", cost{requests: first, connections: 1, writes: both}, func() {
				l.apply("app", l.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "latest" }))
				l.settled("app")
			})
			published(digest)

			// A person who asks for a poll is answered in status.
			l.spend("poll that was asked for, nothing changed", cost{requests: map[string]int{"HEAD manifests": 1}, writes: []string{statusPatch}, budget: 1}, func() { poll() })

			budget := map[string]int{"referrers": 5 + layers, "distribution": 6 + layers}[kind]
			digest = release("cosign", 2)
			l.spend("new digest, Cosign v2 signature, L=2", cost{requests: l.requests(1, 2, 1+layers), writes: both, budget: budget}, func() { poll() })
			published(digest)
			digest = release("bundle", 3)
			l.spend("new digest, bundle, L=2", cost{requests: l.requests(1, 3, 1+layers), writes: both, budget: budget + 1}, func() { poll() })
			published(digest)

			release("", 4)
			lookup := l.requests(1, 1, 0)
			l.spend("new digest, unsigned", cost{requests: lookup, writes: both, budget: 3}, func() { poll() })
			wantConditions(t, l.get("app"), map[string]string{"Ready": "False/NoSignature", "ArtifactInStorage": "True/ArtifactPublished"})
			l.spend("poll that was asked for, digest refused", cost{requests: lookup, writes: []string{statusPatch}, budget: 3}, func() { poll() })

			digest = release("cosign", 5)
			l.spend("new digest after a refused one", cost{requests: l.requests(1, 2, 1+layers), writes: both, budget: budget}, func() { poll() })
			published(digest)

			// As many authorities and keys as may be, the right one last.
			authorities := manyAuthorities(t, l.key)
			l.spend("judged again under new trust, artifact published", cost{requests: map[string]int{}, writes: both}, func() {
				l.edit("app", func(s *v1alpha1.ModuleSourceSpec) {
					one := int32(1)
					s.Verify.Authorities, s.Verify.Threshold = authorities, &one
				})
				l.settled("app")
			})
			published(digest)
			digest = release("bundle", 6)
			l.spend("new digest, bundle, L=2, 16 authorities with 32 keys", cost{requests: l.requests(1, 3, 1+layers), writes: both, budget: budget + 1}, func() { poll() })
			published(digest)

			// Somebody else writes to the object while the work is under way.
			digest = release("cosign", 7)
			var once sync.Once
			l.mu.Lock()
			l.hook = func(r *http.Request) {
				if r.Method == http.MethodHead && byController(r) {
					once.Do(l.label)
				}
			}
			l.mu.Unlock()
			l.spend("new digest, Cosign v2 signature, L=2, conflict on the status", cost{
				requests: l.requests(1, 2, 1+layers), writes: []string{statusPatch, statusPatch, eventCreate}, budget: budget,
			}, func() { poll() })
			published(digest)
			if l.get("app").Labels["touched"] != "while-syncing" {
				t.Error("the object was not written to while the work was under way, so nothing is proved")
			}

			l.spend("judged again, trust withdrawn", cost{requests: map[string]int{}, writes: both}, func() {
				l.edit("app", func(s *v1alpha1.ModuleSourceSpec) {
					s.Suspend = true // Or the registry would be asked for other signatures.
					s.Verify.Authorities = authorities[:1]
				})
				l.settled("app")
			})
			if obj := l.get("app"); obj.Status.Artifact != nil {
				t.Errorf("expected the artifact to be withdrawn\n%s", describe(obj))
			}
			l.close()
		})
	}
}

// label writes to the ModuleSource "app" as somebody else.
func (w *world) label() {
	obj := &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "app"}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"while-syncing"}}}`))
	if err := kube.Patch(background, obj, patch); err != nil {
		w.t.Error(err)
	}
}

// manyAuthorities are as many authorities and keys as a policy may have.
func manyAuthorities(t *testing.T, last *signing.Key) []v1alpha1.Authority {
	t.Helper()
	var authorities []v1alpha1.Authority
	for i := range 16 {
		first, second := newKey(t, signing.ECDSAP256), newKey(t, signing.Ed25519)
		if i == 15 {
			second = last
		}
		authorities = append(authorities, inline(fmt.Sprintf("authority-%d", i), first, second))
	}
	return authorities
}

// Another number of layers costs its difference.
func TestBudgetOfOneLayer(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, kind, registry.Options{})
			l.apply("app", l.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "latest" }))
			l.settled("app") // First contact, with a repository that is not there.
			l.takeConnections()
			budget := map[string]int{"referrers": 5 + 1, "distribution": 6 + 1}[kind]
			for _, format := range []string{"cosign", "bundle"} {
				image, err := module.Flux(module.FluxOptions{Files: map[string]string{"a": format}})
				if err != nil {
					t.Fatal(err)
				}
				digest, err := module.Push(background, l.repo("app")+":latest", image)
				if err != nil {
					t.Fatal(err)
				}
				l.sign("app", digest, format, l.key)
				want := cost{requests: l.requests(1, 2, 1+1), writes: []string{statusPatch, eventCreate}, budget: budget}
				if format == "bundle" {
					want.requests["GET manifests"]++
					want.budget++
				} else {
					want.requests["GET referrers"] = 1 // The first look-up learns whether there is the API.
					if want.budget = 0; kind == "referrers" {
						want.budget = budget
					}
				}
				l.spend("new digest, "+format+", L=1", want, func() { l.poll("app") })
				wantConditions(t, l.get("app"), map[string]string{"Ready": "True/SignatureVerified"})
			}
			l.close()
		})
	}
}

func (l *ledger) takeConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = len(l.connections)
}

// countsOf counts the requests for one repository.
func countsOf(server *registry.Server, repo string) map[string]int {
	counts := map[string]int{}
	for _, r := range server.Requests() {
		if strings.HasPrefix(r.Path, "/v2/"+repo+"/") {
			counts[r.Method+" "+r.Kind()]++
		}
	}
	return counts
}

// Polls that find nothing new, as they come by themselves: nothing is written,
// and no token is asked for again.
func TestBudgetOfIdling(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, kind, registry.Options{PageSize: 2})
			once := map[string]map[string]int{ // the cost of one poll; a .sig tag is a tag, too
				"tag":         {"HEAD manifests": 1},
				"version":     {"HEAD manifests": 1},
				"tag-and-pin": {"HEAD manifests": 1},
				"range":       {"HEAD manifests": 1, "GET tags": pages(kind, 1+1, 2)},
				"pages":       {"HEAD manifests": 1, "GET tags": pages(kind, 5+1, 2)},
				"refused":     l.requests(1, 1, 0),
				"mismatch":    {"HEAD manifests": 1},
				"pin":         {},
				"suspended":   {},
			}
			for name := range once {
				digest := l.push(name, "1.0.0", nil)
				if name != "refused" {
					l.sign(name, digest, "cosign", l.key)
				}
				if name == "pages" {
					for i := range 4 {
						l.push(name, fmt.Sprintf("0.%d.0", i), nil)
					}
				}
				l.apply(name, l.spec(name, func(s *v1alpha1.ModuleSourceSpec) {
					s.Interval = metav1.Duration{Duration: 5 * time.Second}
					switch name {
					case "tag", "tag-and-pin", "mismatch":
						s.Tag = "1.0.0"
						if name == "tag-and-pin" {
							s.Digest = digest
						}
						if name == "mismatch" {
							s.Digest = "sha256:" + strings.Repeat("ab", 32)
						}
					case "pin":
						s.Digest = digest
					case "range", "pages":
						s.Version = "1.x"
					case "suspended":
						s.Version, s.Suspend = "1.0.0", true
					default:
						s.Version = "1.0.0"
					}
				}))
			}
			want := map[string]string{"refused": "False/NoSignature", "mismatch": "False/DigestMismatch", "suspended": "Unknown/Progressing"}
			for name := range once {
				expected := want[name]
				if expected == "" {
					expected = "True/SignatureVerified"
				}
				wantConditions(t, l.settled(name), map[string]string{"Ready": expected})
			}
			l.quiesce(len(once))

			// Now only what comes by itself.
			l.registry.Reset()
			polls := l.polls()
			l.await("tag", "each was polled twice more", func(*v1alpha1.ModuleSource) bool {
				for name, cost := range once {
					if cost["HEAD manifests"] > 0 && countsOf(l.registry, name)["HEAD manifests"] < 2 {
						return false
					}
				}
				return true
			})
			writes := l.controller.writes
			polled := l.polls() - polls
			l.stopController()
			if found := writes.take(); len(found) > 0 {
				t.Errorf("expected no writes, found %v", found)
			}
			heads := 0
			for name, cost := range once {
				found := countsOf(l.registry, name)
				heads += found["HEAD manifests"]
				for request, n := range cost {
					// The last poll may have been cut short.
					if f := found[request]; f > n*found["HEAD manifests"] || f < n*(found["HEAD manifests"]-1) {
						t.Errorf("%s: expected %d %s for each of %d polls, found %d", name, n, request, found["HEAD manifests"], f)
					}
				}
				for request := range found {
					if _, ok := cost[request]; !ok {
						t.Errorf("%s: expected no %s, found %d", name, request, found[request])
					}
				}
				t.Logf("%-13s idle %-12s %s a poll, 0 writes", kind, name, itemised(cost))
			}
			counts := l.registry.Counts()
			if counts["GET token"] != 0 || counts["GET ping"] != 0 {
				t.Errorf("expected no ping and no token, found %v", counts)
			}
			// The pin is polled as often as the others, and asks for nothing.
			if pins := polled - heads; pins < 1 {
				t.Errorf("expected the pin to be looked at, found %d looks and %d requests", polled, heads)
			}
		})
	}
}

// A controller that stops while it waits for a registry, as at every rollout,
// says nothing about that registry: neither of a new ModuleSource nor of one
// that is published.
func TestBudgetOfStopping(t *testing.T) {
	t.Parallel()
	l := newLedger(t, "referrers", registry.Options{})
	l.sign("app", l.push("app", "1.0.0", nil), "cosign", l.key)
	versionOne := func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }
	l.apply("app", l.spec("app", versionOne))
	before := l.settled("app")
	l.quiesce(2)
	l.registry.Intercept(registry.Hang)
	l.registry.Reset()
	l.apply("new", l.spec("app", versionOne))
	l.ask("app")
	l.await("app", "both wait for the registry", func(*v1alpha1.ModuleSource) bool { return len(l.registry.Requests()) == 2 })
	writes := l.controller.writes
	l.stopController()
	if found := writes.take(); len(found) > 0 {
		t.Errorf("expected no writes, found %v\n%s%s", found, describe(l.get("app")), describe(l.get("new")))
	}
	if diff := cmp.Diff(before.Status, l.get("app").Status); diff != "" {
		t.Errorf("the status changed (-before +after):\n%s", diff)
	}
	l.registry.Intercept(nil)
	l.start()
	for _, name := range []string{"app", "new"} {
		l.await(name, "it is ready", func(s *v1alpha1.ModuleSource) bool { return is(s, "Ready") == "True/SignatureVerified" })
	}
}

// ask asks for a poll, and does not wait for it.
func (w *world) ask(name string) {
	w.t.Helper()
	obj := w.get(name)
	before := obj.DeepCopy()
	metav1.SetMetaDataAnnotation(&obj.ObjectMeta, meta.ReconcileRequestAnnotation, fmt.Sprint(time.Now().UnixNano()))
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// pages is how many pages a registry makes of tags: the CNCF registry points to
// a next page whenever a page is full.
func pages(kind string, tags, size int) int {
	if kind == "distribution" {
		return tags/size + 1
	}
	return (tags + size - 1) / size
}

// quiesce waits until the first events of n ModuleSources are written.
func (l *ledger) quiesce(n int) {
	l.t.Helper()
	var writes []string
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		writes = append(writes, brief(l.controller.writes.take())...)
		events := 0
		for _, w := range writes {
			if w == eventCreate {
				events++
			}
		}
		if events >= n-1 { // All but the suspended one.
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	l.t.Fatalf("waited for %d events, found %v", n-1, writes)
}

// polls is how many selections were resolved so far, by the metrics.
func (l *ledger) polls() int {
	l.t.Helper()
	families, err := l.metrics.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "assay_step_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == "resolve" {
					return int(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return 0
}
