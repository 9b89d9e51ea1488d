package monitoring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	prom "github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

const (
	appsNamespace = "apps"
	interval      = 5 * time.Second // the shortest there is
)

// world is a cluster with ModuleSources in every state that is worth looking at.
type world struct {
	t            *testing.T
	controlPlane *envtest.Environment
	kube         client.Client
	key          *signing.Key
	kubeconfig   string
	// storage is what the controller of the past left on its volume.
	storage     string
	trustedRoot string
	// good answers, busy says 429, broken 503, and moody is good at first.
	good, busy, broken, moody *registry.Server
	// events stands for Flux's notification-controller.
	events *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log.SetLogger(logr.Discard())
	env, err := controlplane.Start(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, controlPlane: env, storage: t.TempDir(), kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), trustedRoot: filepath.Join(t.TempDir(), "trusted_root.json")}
	w.kube, err = client.New(env.Config, client.Options{Scheme: controllers.NewScheme()})
	w.must(err)
	w.must(os.WriteFile(w.kubeconfig, env.KubeConfig, 0o600))
	ca, err := sigstore.New()
	w.must(err)
	w.must(os.WriteFile(w.trustedRoot, ca.TrustedRoot(), 0o600))
	w.key, err = signing.NewKey(signing.ECDSAP256)
	w.must(err)
	for _, server := range []**registry.Server{&w.good, &w.busy, &w.broken, &w.moody} {
		*server, err = registry.Distribution(registry.Options{})
		w.must(err)
		t.Cleanup(func() { _ = (*server).Close() })
	}
	w.events = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(w.events.Close)
	w.busy.Intercept(registry.Respond(http.StatusTooManyRequests, nil, nil))
	w.broken.Intercept(registry.Respond(http.StatusServiceUnavailable, nil, nil))
	w.must(w.kube.Create(background, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: appsNamespace}}))
	w.must(w.kube.Create(background, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: appsNamespace, Name: "no-key"}, Data: map[string][]byte{"cosign.pub": []byte("none")}}))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// push pushes a version, and signs it if it is to be.
func (w *world) push(server *registry.Server, repo, version string, signed bool) {
	w.t.Helper()
	image, err := module.New(module.Options{Version: version})
	w.must(err)
	digest, err := module.Push(background, server.Host()+"/"+repo+":"+version, image)
	w.must(err)
	if signed {
		w.must(signing.SignCosign(background, server.Host()+"/"+repo+"@"+digest, w.key))
	}
}

func (w *world) source(server *registry.Server, name string, edit func(*v1alpha1.ModuleSourceSpec)) {
	w.t.Helper()
	obj := &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: appsNamespace, Name: name}, Spec: v1alpha1.ModuleSourceSpec{
		URL: "oci://" + server.Host() + "/" + name, Version: "1.x", Insecure: true, Interval: metav1.Duration{Duration: interval},
		Verify: v1alpha1.Verify{SignatureGracePeriod: &metav1.Duration{}, Authorities: []v1alpha1.Authority{{
			Name: "release-key", Key: &v1alpha1.KeyAuthority{Data: string(w.key.PublicPEM())}, TransparencyLog: v1alpha1.TransparencyLogIgnore,
		}}},
	}}
	if edit != nil {
		edit(&obj.Spec)
	}
	w.must(w.kube.Create(background, obj))
}

// await waits until a condition of a ModuleSource is "status/reason".
func (w *world) await(name, kind, want string) *v1alpha1.ModuleSource {
	w.t.Helper()
	obj := &v1alpha1.ModuleSource{}
	await(w.t, fmt.Sprintf("%s of %s is %s", kind, name, want), func() error {
		if err := w.kube.Get(background, client.ObjectKey{Namespace: appsNamespace, Name: name}, obj); err != nil {
			return err
		}
		found := ""
		if c := apimeta.FindStatusCondition(obj.Status.Conditions, kind); c != nil {
			found = string(c.Status) + "/" + c.Reason
		}
		if found != want {
			return fmt.Errorf("found %q", found)
		}
		return nil
	})
	return obj
}

// past has everything happen two hours ago: a controller whose clock is late
// writes status, and ends.
func (w *world) past() {
	w.t.Helper()
	w.push(w.good, "verified", "1.0.0", true)
	w.source(w.good, "verified", nil)
	w.push(w.good, "refused", "1.0.0", false)
	w.source(w.good, "refused", nil)
	w.push(w.good, "newer", "1.0.0", true)
	w.source(w.good, "newer", nil)
	w.push(w.moody, "failing", "1.0.0", true)
	w.source(w.moody, "failing", nil)
	for i := range 3 {
		w.source(w.busy, fmt.Sprintf("busy-%d", i), nil)
		w.source(w.broken, fmt.Sprintf("broken-%d", i), nil)
	}
	w.push(w.good, "suspended", "1.0.0", false)
	w.source(w.good, "suspended", nil)
	w.source(w.good, "invalid", func(s *v1alpha1.ModuleSourceSpec) {
		s.Verify.Authorities[0].Key = &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: "no-key"}}
	})
	ctx, stop := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() {
		ended <- controllers.Run(ctx, w.controlPlane.Config, controllers.Options{
			Concurrent: 4, StoragePath: w.storage, StorageAddr: "127.0.0.1:0", MetricsAddr: "0", HealthAddr: "0",
			ArtifactRetention: time.Hour, ArtifactLimits: controllers.DefaultArtifactLimits, UserAgent: "assay-test", WatchReferences: true,
			TrustGrace: controllers.DefaultTrustGrace, TrustedRoot: w.trustedRoot, Log: logr.Discard(), Registerer: prom.NewRegistry(),
			DialAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Now:       func() time.Time { return time.Now().Add(-2 * time.Hour) },
		})
	}()
	w.await("newer", v1alpha1.ConditionReady, "True/SignatureVerified")
	w.push(w.good, "newer", "1.1.0", false)
	w.await("failing", v1alpha1.ConditionReady, "True/SignatureVerified")
	w.moody.Intercept(registry.Respond(http.StatusBadGateway, nil, nil))
	for name, want := range map[string]string{
		"verified": "True/SignatureVerified", "refused": "False/NoSignature", "newer": "False/NoSignature", "suspended": "False/NoSignature",
		"busy-0": "Unknown/RateLimited", "busy-1": "Unknown/RateLimited", "busy-2": "Unknown/RateLimited", "invalid": "Unknown/InvalidTrust",
		"broken-0": "Unknown/RegistryUnavailable", "broken-1": "Unknown/RegistryUnavailable", "broken-2": "Unknown/RegistryUnavailable",
	} {
		w.await(name, v1alpha1.ConditionVerified, want)
	}
	w.await("failing", v1alpha1.ConditionReady, "False/RegistryUnavailable")
	stop()
	w.must(<-ended)
	suspended := w.await("suspended", v1alpha1.ConditionVerified, "False/NoSignature")
	before := suspended.DeepCopy()
	suspended.Spec.Suspend = true
	w.must(w.kube.Patch(background, suspended, client.MergeFrom(before)))
}

// present starts two replicas of the controller, and has something happen.
func (w *world) present(metrics map[string]string) {
	w.t.Helper()
	binary := filepath.Join(w.t.TempDir(), "assay-controller")
	build := exec.Command("go", "build", "-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", binary, ".")
	build.Dir = root(w.t)
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	for _, address := range metrics {
		w.replica(binary, address)
	}
	w.push(w.good, "awaiting", "1.0.0", false)
	w.source(w.good, "awaiting", func(s *v1alpha1.ModuleSourceSpec) {
		s.Verify.SignatureGracePeriod = &metav1.Duration{Duration: time.Hour}
	})
	w.await("awaiting", v1alpha1.ConditionVerified, "Unknown/AwaitingSignature")
}

func (w *world) replica(binary, metrics string) {
	w.t.Helper()
	folder := w.t.TempDir()
	w.must(os.CopyFS(filepath.Join(folder, "data"), os.DirFS(w.storage)))
	log, err := os.Create(filepath.Join(folder, "log"))
	w.must(err)
	defer log.Close()
	cmd := exec.Command(binary, "--leader-elect", "--leader-election-namespace", appsNamespace, "--storage-path", filepath.Join(folder, "data"), "--storage-addr", "127.0.0.1:0",
		"--metrics-addr", metrics, "--health-addr", "0", "--dial-allow", "127.0.0.0/8,::1/128", "--trusted-root", w.trustedRoot, "--events-addr", w.events.URL)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	w.must(cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // One that leads ends, one that waits may say that it never did.
		if said, err := os.ReadFile(log.Name()); err == nil && w.t.Failed() {
			w.t.Logf("the log of %s ends with:\n%s", metrics, said[max(0, len(said)-4000):])
		}
	})
}

// release pushes and signs another version, and downloads it once it is
// published.
func (w *world) release(version string) {
	w.t.Helper()
	w.push(w.good, "verified", version, true)
	await(w.t, version+" is published", func() error {
		obj := w.await("verified", v1alpha1.ConditionReady, "True/SignatureVerified")
		if obj.Status.Observed.Version != version {
			return errors.New("observed is " + obj.Status.Observed.Version)
		}
		response, err := http.Get(obj.Status.Artifact.URL)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err
	})
}
