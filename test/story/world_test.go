package story

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// patience is how long a test waits for a condition; shared machines are slow
// at times.
const patience = 90 * time.Second

// kinds are the kinds of registry: without a referrers API, and with one.
var kinds = map[string]func(registry.Options) (*registry.Server, error){
	"distribution": registry.Distribution,
	"referrers":    registry.Referrers,
}

// eachRegistry runs a test once with each kind of registry.
func eachRegistry(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, settings{kind: kind}))
		})
	}
}

// settings change what a world consists of.
type settings struct {
	kind     string // of registry; default "referrers"
	registry registry.Options
	options  func(*controllers.Options)
	// api stands between the controller and the API server; optional.
	api func(http.RoundTripper) http.RoundTripper
}

// world is what one test has for itself: a namespace, a registry, a key, and a
// controller that watches nothing else.
type world struct {
	t          *testing.T
	namespace  string
	registry   *registry.Server
	kind       string
	key        *signing.Key
	metrics    *prometheus.Registry
	settings   settings
	storage    string
	controller *running
}

var namespaces atomic.Int64

func newWorld(t *testing.T, s settings) *world {
	t.Helper()
	if s.kind == "" {
		s.kind = "referrers"
	}
	server, err := kinds[s.kind](s.registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w := &world{
		t: t, kind: s.kind, settings: s, registry: server, storage: t.TempDir(),
		namespace: fmt.Sprintf("story-%d", namespaces.Add(1)),
		key:       newKey(t, signing.ECDSAP256),
	}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.start()
	return w
}

func newKey(t *testing.T, kind signing.Kind) *signing.Key {
	t.Helper()
	key, err := signing.NewKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// running is a controller in this process.
type running struct {
	stop   context.CancelFunc
	done   chan error
	writes *writeCounter
}

// start starts the world's controller.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(background)
	w.controller = &running{stop: cancel, done: make(chan error, 1), writes: &writeCounter{}}
	w.metrics = prometheus.NewRegistry()
	o := controllers.Options{
		Concurrent: 4, StoragePath: w.storage, StorageAddr: "127.0.0.1:0", MetricsAddr: "0", HealthAddr: "0",
		WatchNamespaces: []string{w.namespace}, ArtifactRetention: time.Hour,
		ArtifactLimits: controllers.DefaultArtifactLimits, UserAgent: "assay-test",
		WatchReferences: true, TrustGrace: controllers.DefaultTrustGrace,
		DialAllow:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Registerer: w.metrics,
		Log:        logr.FromSlogHandler(slog.NewTextHandler(newTestLog(w.t), nil)),
	}
	if w.settings.options != nil {
		w.settings.options(&o)
	}
	config := rest.CopyConfig(kubeconfig)
	config.QPS, config.Burst = 1000, 1000
	config.Wrap(w.controller.writes.wrap)
	if w.settings.api != nil {
		config.Wrap(w.settings.api)
	}
	c := w.controller
	go func() { c.done <- controllers.Run(ctx, config, o) }()
	w.t.Cleanup(w.stopController)
}

// stopController stops the world's controller and waits for its end.
func (w *world) stopController() {
	if w.controller == nil {
		return
	}
	w.controller.stop()
	if err := <-w.controller.done; err != nil {
		w.t.Errorf("the controller ended with an error: %v", err)
	}
	w.controller = nil
}

// testLog shows the controller's log with the test that it belongs to, until
// that ends: controller-runtime still has something to say then.
type testLog struct {
	mu sync.Mutex
	t  *testing.T // nil after its end
}

func newTestLog(t *testing.T) *testLog {
	l := &testLog{t: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t = nil
	})
	return l
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// writeCounter counts what a controller writes to the API server, and which
// Secrets and ConfigMaps it reads.
type writeCounter struct {
	mu     sync.Mutex
	writes []string
	reads  []string
}

func (c *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			c.mu.Lock()
			c.writes = append(c.writes, r.Method+" "+r.URL.Path)
			c.mu.Unlock()
		}
		if parts := strings.Split(r.URL.Path, "/"); r.Method == http.MethodGet && len(parts) == 7 && (parts[5] == "secrets" || parts[5] == "configmaps") {
			c.mu.Lock()
			c.reads = append(c.reads, parts[6])
			c.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

// takeReads returns the names of the Secrets and ConfigMaps that were read since
// the last call, each once, in order.
func (c *writeCounter) takeReads() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := slices.Clone(c.reads)
	c.reads = nil
	slices.Sort(taken)
	return slices.Compact(taken)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// take returns the writes since the last call.
func (c *writeCounter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.writes
	c.writes = nil
	return taken
}

func (w *world) create(obj client.Object) {
	w.t.Helper()
	if err := kube.Create(background, obj); err != nil {
		w.t.Fatal(err)
	}
}

// repo is a repository of the world's registry.
func (w *world) repo(name string) string { return w.registry.Host() + "/" + name }

// push pushes a module under a tag that is its version.
func (w *world) push(repo, version string, files map[string]string) string {
	w.t.Helper()
	return w.pushAs(repo, version, module.Options{Version: version, Files: files})
}

func (w *world) pushAs(repo, tag string, o module.Options) string {
	w.t.Helper()
	image, err := module.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := module.Push(background, w.repo(repo)+":"+tag, image)
	if err != nil {
		w.t.Fatal(err)
	}
	return digest
}

// sign signs a digest in a format with a key.
func (w *world) sign(repo, digest, format string, key *signing.Key) {
	w.t.Helper()
	sign := signing.SignCosign
	if format == "bundle" {
		sign = signing.SignBundle
	}
	if err := sign(background, w.repo(repo)+"@"+digest, key); err != nil {
		w.t.Fatal(err)
	}
}

// spec is a ModuleSource for a repository, with the world's key inline. Polls
// come only when a test asks for them, and no signature is waited for.
func (w *world) spec(repo string, edit func(*v1alpha1.ModuleSourceSpec)) v1alpha1.ModuleSourceSpec {
	s := v1alpha1.ModuleSourceSpec{
		URL: "oci://" + w.repo(repo), Insecure: true,
		Interval: metav1.Duration{Duration: time.Hour}, Timeout: metav1.Duration{Duration: 30 * time.Second},
		Verify: v1alpha1.Verify{
			Authorities:          []v1alpha1.Authority{inline("release-key", w.key)},
			SignatureGracePeriod: &metav1.Duration{},
		},
	}
	if edit != nil {
		edit(&s)
	}
	return s
}

// inline is an authority with keys in the spec.
func inline(name string, keys ...*signing.Key) v1alpha1.Authority {
	var data strings.Builder
	for _, k := range keys {
		data.Write(k.PublicPEM())
	}
	return v1alpha1.Authority{Name: name, Key: &v1alpha1.KeyAuthority{Data: data.String()}, TransparencyLog: v1alpha1.TransparencyLogIgnore}
}

// apply creates a ModuleSource.
func (w *world) apply(name string, spec v1alpha1.ModuleSourceSpec) {
	w.t.Helper()
	w.create(&v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: spec})
}

// edit changes the spec of a ModuleSource.
func (w *world) edit(name string, edit func(*v1alpha1.ModuleSourceSpec)) {
	w.t.Helper()
	obj := w.get(name)
	before := obj.DeepCopy()
	edit(&obj.Spec)
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string) *v1alpha1.ModuleSource {
	w.t.Helper()
	obj := &v1alpha1.ModuleSource{}
	if err := kube.Get(background, client.ObjectKey{Namespace: w.namespace, Name: name}, obj); err != nil {
		w.t.Fatal(err)
	}
	return obj
}

// poll asks for a poll and waits until it is reported.
func (w *world) poll(name string) *v1alpha1.ModuleSource {
	w.t.Helper()
	obj := w.get(name)
	before := obj.DeepCopy()
	token := fmt.Sprint(time.Now().UnixNano())
	metav1.SetMetaDataAnnotation(&obj.ObjectMeta, meta.ReconcileRequestAnnotation, token)
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	return w.await(name, "the poll is handled", func(s *v1alpha1.ModuleSource) bool { return s.Status.LastHandledReconcileAt == token })
}

// await waits until a ModuleSource is as expected.
func (w *world) await(name, what string, ok func(*v1alpha1.ModuleSource) bool) *v1alpha1.ModuleSource {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		obj := w.get(name)
		if ok(obj) {
			return obj
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s/%s: waited %s until %s; its status is\n%s", w.namespace, name, patience, what, describe(obj))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// settled waits until the current generation is reported.
func (w *world) settled(name string) *v1alpha1.ModuleSource {
	w.t.Helper()
	return w.await(name, "its generation is reported", func(s *v1alpha1.ModuleSource) bool { return s.Status.ObservedGeneration == s.Generation })
}

// is reports a condition as "status/reason"; "" where it is absent.
func is(obj *v1alpha1.ModuleSource, kind string) string {
	c := apimeta.FindStatusCondition(obj.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func message(obj *v1alpha1.ModuleSource, kind string) string {
	if c := apimeta.FindStatusCondition(obj.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

func describe(obj *v1alpha1.ModuleSource) string {
	var b strings.Builder
	for _, c := range obj.Status.Conditions {
		fmt.Fprintf(&b, "  %s=%s/%s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	fmt.Fprintf(&b, "  generation %d, observed %d, revision %+v, artifact %+v\n", obj.Generation, obj.Status.ObservedGeneration, obj.Status.Observed, obj.Status.Artifact)
	return b.String()
}

// wantConditions compares conditions, given as type and "status/reason", ""
// for absent.
func wantConditions(t *testing.T, obj *v1alpha1.ModuleSource, want map[string]string) {
	t.Helper()
	for kind, w := range want {
		if found := is(obj, kind); found != w {
			t.Errorf("%s: expected %q, found %q\n%s", kind, w, found, describe(obj))
		}
	}
	for _, c := range obj.Status.Conditions {
		if c.ObservedGeneration != obj.Generation {
			t.Errorf("%s: expected observedGeneration %d, found %d", c.Type, obj.Generation, c.ObservedGeneration)
		}
	}
}

// download gets an address and returns the status code and the body.
func download(t *testing.T, url string) (int, []byte) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// pushTo pushes a small module under 1.0.0 to a registry that may be another
// than the world's.
func pushTo(t *testing.T, server *registry.Server, repo string) string {
	t.Helper()
	image, err := module.New(module.Options{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := module.Push(background, server.Host()+"/"+repo+":1.0.0", image)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// signAt signs a digest in a registry that may be another than the world's.
func signAt(t *testing.T, server *registry.Server, repo, digest, format string, key *signing.Key) {
	t.Helper()
	sign := signing.SignCosign
	if format == "bundle" {
		sign = signing.SignBundle
	}
	if err := sign(background, server.Host()+"/"+repo+"@"+digest, key); err != nil {
		t.Fatal(err)
	}
}

// in is the same world, whose failures end t alone.
func (w *world) in(t *testing.T) *world {
	same := *w
	same.t = t
	return &same
}
