package story

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/registry"
)

// TestSlowRegistryDelaysNoOther has more ModuleSources of a registry that never
// answers than there are workers, and expects one of another registry to be
// published while all of them wait.
func TestSlowRegistryDelaysNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	hanging, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	hanging.Intercept(registry.Hang)
	t.Cleanup(func() { hanging.Intercept(nil) })

	const many = 12
	for i := range many {
		spec := w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
			s.URL, s.Version = "oci://"+hanging.Host()+"/app", "1.0.0"
			s.Timeout = metav1.Duration{Duration: 10 * time.Minute}
		})
		w.apply(fmt.Sprintf("slow-%d", i), spec)
	}
	w.await("slow-0", "the hanging registry was asked", func(*v1alpha1.ModuleSource) bool { return len(hanging.Requests()) >= 3 })

	w.sign("app", w.push("app", "1.0.0", nil), "cosign", w.key)
	w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) { s.Version = "1.0.0" }))
	wantConditions(t, w.settled("app"), map[string]string{"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified"})
	for i := range many {
		if obj := w.get(fmt.Sprintf("slow-%d", i)); obj.Status.ObservedGeneration == obj.Generation {
			t.Errorf("slow-%d: expected no answer yet, found %s", i, describe(obj))
		}
	}
}
