package story

import (
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// computed is what kubectl wait, Flux and Argo CD take a ModuleSource for.
func computed(t *testing.T, obj *unstructured.Unstructured) status.Status {
	t.Helper()
	result, err := status.Compute(obj)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func asUnstructured() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.ModuleSourceKind))
	return u
}

func (w *world) kstatus(name string) status.Status {
	w.t.Helper()
	u := asUnstructured()
	if err := kube.Get(background, client.ObjectKey{Namespace: w.namespace, Name: name}, u); err != nil {
		w.t.Fatal(err)
	}
	return computed(w.t, u)
}

// wantKstatus also looks at Ready, so that a row says both.
func (w *world) wantKstatus(name, when string, want status.Status, ready string) {
	w.t.Helper()
	obj := w.get(name)
	if found := w.kstatus(name); found != want {
		w.t.Errorf("%s: %s: expected %s, found %s\n%s", name, when, want, found, describe(obj))
	}
	if found := is(obj, "Ready"); found != ready {
		w.t.Errorf("%s: %s: expected Ready=%s, found %s", name, when, ready, found)
	}
}

// watchKstatus looks at every state that a ModuleSource of the world is ever
// in: whatever its conditions, it is Current if and only if Ready is True for
// this very generation.
func (w *world) watchKstatus() (seen func() map[status.Status]int) {
	w.t.Helper()
	watcher, err := client.NewWithWatch(kubeconfig, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.ModuleSourceKind + "List"))
	ctx, cancel := context.WithCancel(background)
	events, err := watcher.Watch(ctx, list, client.InNamespace(w.namespace))
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	counts := map[status.Status]int{}
	var done sync.WaitGroup
	done.Go(func() {
		for e := range events.ResultChan() {
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type == watch.Deleted {
				continue
			}
			result, err := status.Compute(u)
			if err != nil {
				w.t.Error(err)
				continue
			}
			counts[result.Status]++
			if (result.Status == status.CurrentStatus) != readyNow(u) {
				w.t.Errorf("%s is %s with %v", u.GetName(), result.Status, u.Object["status"])
			}
		}
	})
	stop := sync.OnceFunc(func() {
		events.Stop()
		cancel()
		done.Wait()
	})
	w.t.Cleanup(stop)
	return func() map[status.Status]int {
		stop()
		return counts
	}
}

// readyNow is the strict gate of the design: Ready is True for the generation.
func readyNow(u *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		c := c.(map[string]any)
		if c["type"] == "Ready" {
			return c["status"] == "True" && c["observedGeneration"] == u.GetGeneration() && observed == u.GetGeneration()
		}
	}
	return false
}

// Before the controller has looked, at a new object as at an edited one, kstatus
// must not take the absence of conditions, or old ones, for success.
func TestKstatusBeforeTheController(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	seen := w.watchKstatus()
	digest := w.push("app", "1.0.0", nil)
	w.sign("app", digest, "cosign", w.key)
	w.stopController()
	w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }))
	w.wantKstatus("app", "new, no controller", status.InProgressStatus, "")
	w.start()
	w.settled("app")
	w.wantKstatus("app", "published", status.CurrentStatus, "True/SignatureVerified")

	w.stopController()
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "2.0.0" })
	w.wantKstatus("app", "edited, no controller", status.InProgressStatus, "True/SignatureVerified")
	w.start()
	w.settled("app")
	w.wantKstatus("app", "retrying", status.InProgressStatus, "False/VersionNotFound")
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" })
	w.settled("app")
	w.wantKstatus("app", "published again", status.CurrentStatus, "True/SignatureVerified")
	w.stopController()
	if err := kube.Delete(background, w.get("app")); err != nil {
		t.Fatal(err)
	}
	if counts := seen(); counts[status.InProgressStatus] < 2 || counts[status.CurrentStatus] < 2 {
		t.Errorf("expected to see more, found %v", counts)
	}
}

// Every other state that a ModuleSource can be in, and how it is healed.
func TestKstatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	seen := w.watchKstatus()
	other, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	signed := func(repo string) string {
		digest := w.push(repo, "1.0.0", nil)
		w.sign(repo, digest, "bundle", w.key)
		return digest
	}
	keys := func(name, text string) {
		w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, StringData: map[string]string{"cosign.pub": text}})
	}
	fromSecret := func(name string) func(*v1alpha1.ModuleSourceSpec) {
		return func(s *v1alpha1.ModuleSourceSpec) {
			s.Verify.Authorities[0].Key = &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: name}}
		}
	}
	withKey := func(key *signing.Key) func(*v1alpha1.ModuleSourceSpec) {
		return func(s *v1alpha1.ModuleSourceSpec) { s.Verify.Authorities[0] = inline("release-key", key) }
	}
	stranger := newKey(t, signing.ECDSAP256)

	tests := []struct {
		name    string
		prepare func(repo string)
		spec    func(*v1alpha1.ModuleSourceSpec)
		want    status.Status
		ready   string
		heal    func(name string)
	}{
		{
			"published", func(repo string) { signed(repo) }, nil,
			status.CurrentStatus, "True/SignatureVerified", nil,
		}, {
			"registry-down", func(repo string) {
				signAt(t, other, repo, pushTo(t, other, repo), "cosign", w.key)
				other.Down()
			}, func(s *v1alpha1.ModuleSourceSpec) { s.URL = "oci://" + other.Host() + "/registry-down" },
			status.InProgressStatus, "False/RegistryUnavailable", func(string) {
				if err := other.Up(); err != nil {
					t.Fatal(err)
				}
			},
		}, {
			"version-missing", func(string) {}, nil,
			status.InProgressStatus, "False/RepositoryNotFound", func(name string) { signed(name) },
		}, {
			"key-secret-missing", func(repo string) { signed(repo) }, fromSecret("later"),
			status.InProgressStatus, "Unknown/TrustUnavailable", func(string) { keys("later", string(w.key.PublicPEM())) },
		}, {
			"credentials-missing", func(repo string) { signed(repo) }, func(s *v1alpha1.ModuleSourceSpec) {
				s.Insecure, s.SecretRef = false, &v1alpha1.LocalObjectReference{Name: "nowhere"}
			},
			status.InProgressStatus, "False/AuthenticationFailed", func(name string) {
				w.edit(name, func(s *v1alpha1.ModuleSourceSpec) { s.Insecure, s.SecretRef = true, nil })
			},
		}, {
			"unsigned", func(repo string) { w.push(repo, "1.0.0", nil) }, nil,
			status.FailedStatus, "False/NoSignature", func(name string) { w.sign(name, w.push(name, "1.0.0", nil), "cosign", w.key) },
		}, {
			"by-a-stranger", func(repo string) { w.sign(repo, w.push(repo, "1.0.0", nil), "cosign", stranger) }, nil,
			status.FailedStatus, "False/KeyMismatch", func(name string) { w.edit(name, withKey(stranger)) },
		}, {
			"invalid-trust", func(repo string) {
				signed(repo)
				keys("broken", "no key")
			}, fromSecret("broken"),
			status.FailedStatus, "False/InvalidTrust", func(name string) { w.edit(name, withKey(w.key)) },
		}, {
			"invalid-spec", func(repo string) { signed(repo) }, func(s *v1alpha1.ModuleSourceSpec) {
				s.Verify.Authorities[0].Key.Data = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
			},
			status.FailedStatus, "False/InvalidSpec", func(name string) { w.edit(name, withKey(w.key)) },
		}, {
			"unpublishable", func(repo string) {
				w.sign(repo, w.pushLayer(repo, []byte("no tar")), "cosign", w.key)
			}, nil,
			status.FailedStatus, "False/ArtifactInvalid", func(name string) { signed(name) },
		}, {
			"suspended-at-once", func(repo string) { signed(repo) }, func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true },
			status.InProgressStatus, "Unknown/Progressing", func(name string) {
				w.edit(name, func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = false })
			},
		},
	}
	for _, tt := range tests {
		tt.prepare(tt.name)
		w.apply(tt.name, w.spec(tt.name, func(s *v1alpha1.ModuleSourceSpec) {
			s.Version = "1.0.0"
			if tt.spec != nil {
				tt.spec(s)
			}
		}))
	}
	for _, tt := range tests {
		w.settled(tt.name)
		w.wantKstatus(tt.name, "as it is", tt.want, tt.ready)
	}
	// Suspending changes nothing about what was found.
	for _, tt := range tests {
		if tt.want == status.InProgressStatus {
			continue
		}
		w.edit(tt.name, func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
		w.settled(tt.name)
		w.wantKstatus(tt.name, "suspended", tt.want, tt.ready)
		w.edit(tt.name, func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = false })
		w.settled(tt.name)
		w.wantKstatus(tt.name, "resumed", tt.want, tt.ready)
	}
	for _, tt := range tests {
		if tt.heal == nil {
			continue
		}
		tt.heal(tt.name)
		w.poll(tt.name)
		w.await(tt.name, "it is healed", func(s *v1alpha1.ModuleSource) bool { return is(s, "Ready") == "True/SignatureVerified" })
		w.settled(tt.name)
		w.wantKstatus(tt.name, "healed", status.CurrentStatus, "True/SignatureVerified")
	}

	// Trust that is withdrawn, while suspended and not.
	for _, suspended := range []bool{true, false} {
		w.edit("published", func(s *v1alpha1.ModuleSourceSpec) {
			s.Suspend = suspended
			withKey(stranger)(s)
		})
		w.settled("published")
		w.wantKstatus("published", "trust withdrawn", status.FailedStatus, "False/KeyMismatch")
	}
	w.stopController()
	counts := seen()
	t.Logf("looked at states: %v", counts)
	for _, s := range []status.Status{status.InProgressStatus, status.CurrentStatus, status.FailedStatus} {
		if counts[s] < 5 {
			t.Errorf("expected to see %s more often, found %v", s, counts)
		}
	}
}

// pushLayer pushes a Flux artifact with a layer of any bytes under 1.0.0.
func (w *world) pushLayer(repo string, layer []byte) string {
	w.t.Helper()
	image, err := module.Raw(module.RawOptions{
		ConfigMediaType: module.FluxConfigMediaType, Config: []byte("{}"),
		Layers: []module.Layer{{MediaType: module.FluxContentMediaType, Content: layer}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := module.Push(background, w.repo(repo)+":1.0.0", image)
	if err != nil {
		w.t.Fatal(err)
	}
	return digest
}
