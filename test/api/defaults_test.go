package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// create stores a ModuleSource under a name of its own, and returns it as the
// API server reads it back.
func create(t *testing.T, obj *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	obj.SetName("")
	obj.SetGenerateName("app-")
	if err := kube.Create(background, obj); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kube.Delete(background, obj); err != nil {
			t.Error(err)
		}
	})
	return read(t, obj)
}

func read(t *testing.T, obj client.Object) *unstructured.Unstructured {
	t.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.ModuleSourceKind))
	if err := kube.Get(background, client.ObjectKeyFromObject(obj), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

// newborn is the status of an object that no controller has seen. Without it,
// kstatus takes a new object for one that is current: it waits only while
// observedGeneration is there and differs from the generation.
var newborn = map[string]any{"observedGeneration": int64(-1)}

func TestDefaults(t *testing.T) {
	for name, given := range map[string][]edit{
		"absent": edits(drop(logField), rooted("ConfigMap")),
		"null": edits(
			set("interval", nil), set("timeout", nil), set("verify.provider", nil), set(logField, nil), rooted("ConfigMap", set("key", nil))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := create(t, write(given...))
			want := smallest()
			want["interval"], want["timeout"], want["immutableVersions"] = "5m", "1m", true
			set("verify.signatureGracePeriod", "1m")(want)
			set("verify.provider", "cosign")(want)
			set(logField, "Require")(want)
			rooted("ConfigMap", set("key", "trusted_root.json"))(want)
			if diff := cmp.Diff(want, stored.Object["spec"]); diff != "" {
				t.Errorf("spec (-want +found):\n%s", diff)
			}
			if diff := cmp.Diff(newborn, stored.Object["status"]); diff != "" {
				t.Errorf("status (-want +found):\n%s", diff)
			}
		})
	}
}

// TestDefaultsStay: what is written is kept.
func TestDefaultsStay(t *testing.T) {
	t.Parallel()
	given := edits(full, set("interval", "1h30m"), set("timeout", "2m"), set("immutableVersions", false))
	stored := create(t, write(given...))
	if diff := cmp.Diff(write(given...).Object["spec"], stored.Object["spec"]); diff != "" {
		t.Errorf("(-written +stored):\n%s", diff)
	}
}

// TestDefaultsForGoClients: a Go program that leaves fields at their zero value
// gets the defaults, and reads durations as what the constants say.
func TestDefaultsForGoClients(t *testing.T) {
	t.Parallel()
	obj := &v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "app-", Namespace: metav1.NamespaceDefault},
		Spec: v1alpha1.ModuleSourceSpec{
			URL: "oci://registry.example.org/modules/app",
			Verify: v1alpha1.Verify{Authorities: []v1alpha1.Authority{{
				Name: "release",
				Keyless: &v1alpha1.KeylessAuthority{Identities: []v1alpha1.Identity{{
					Issuer: someIssuer, SubjectRegExp: ".*", Extensions: []v1alpha1.CertificateExtension{{Name: "buildTrigger", Value: "push"}},
				}}},
				TrustedRootRef: &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: "trust"},
			}}},
		},
	}
	if err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatal(err)
	}
	type defaults struct {
		interval, timeout time.Duration
		grace             time.Duration
		immutable         bool
		provider, key     string
		log               v1alpha1.TransparencyLog
		threshold         *int32
		observed          int64
	}
	want := defaults{
		interval: v1alpha1.DefaultInterval, timeout: v1alpha1.DefaultTimeout, provider: "cosign", key: v1alpha1.DefaultTrustedRootKey,
		grace: v1alpha1.DefaultSignatureGracePeriod, immutable: true,
		log: v1alpha1.TransparencyLogRequire, observed: -1,
	}
	found := defaults{
		grace: obj.Spec.Verify.SignatureGracePeriod.Duration, immutable: *obj.Spec.ImmutableVersions,
		interval: obj.Spec.Interval.Duration, timeout: obj.Spec.Timeout.Duration, provider: obj.Spec.Verify.Provider,
		key: obj.Spec.Verify.Authorities[0].TrustedRootRef.Key, log: obj.Spec.Verify.Authorities[0].TransparencyLog,
		threshold: obj.Spec.Verify.Threshold, observed: obj.Status.ObservedGeneration,
	}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(defaults{})); diff != "" {
		t.Errorf("(-want +found):\n%s", diff)
	}
}

// TestStatusIsTheControllers: whoever may write ModuleSources, and not their
// status, cannot claim that one is verified.
func TestStatusIsTheControllers(t *testing.T) {
	t.Parallel()
	claimed := map[string]any{
		"observedGeneration": int64(1),
		"conditions": []any{map[string]any{
			"type": "Verified", "status": "True", "reason": v1alpha1.ReasonSignatureVerified, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
		}},
	}
	obj := write()
	obj.Object["status"] = claimed
	stored := create(t, obj)
	if diff := cmp.Diff(newborn, stored.Object["status"]); diff != "" {
		t.Errorf("status after it was created with one (-want +found):\n%s", diff)
	}
	stored.Object["status"] = claimed
	if err := kube.Update(background, stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newborn, read(t, stored).Object["status"]); diff != "" {
		t.Errorf("status after it was updated with one (-want +found):\n%s", diff)
	}
}

// TestGenerationFollowsSpec: status does not raise the generation that
// observedGeneration is compared with, spec does.
func TestGenerationFollowsSpec(t *testing.T) {
	t.Parallel()
	stored := create(t, write())
	if err := unstructured.SetNestedField(stored.Object, int64(1), "status", "observedGeneration"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Status().Update(background, stored); err != nil {
		t.Fatal(err)
	}
	if g := read(t, stored).GetGeneration(); g != 1 {
		t.Errorf("after a change of status: expected generation 1, found %d", g)
	}
	if err := unstructured.SetNestedField(stored.Object, true, "spec", "suspend"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Update(background, stored); err != nil {
		t.Fatal(err)
	}
	if g := read(t, stored).GetGeneration(); g != 2 {
		t.Errorf("after a change of spec: expected generation 2, found %d", g)
	}
}
