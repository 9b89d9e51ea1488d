package deploy

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// TestNamespacedInstallWorks applies an install for one namespace beside the
// other one, and takes all the steps of the trial there with the rights that it
// gives: what is in another namespace is not looked at, and cannot be.
func TestNamespacedInstallWorks(t *testing.T) {
	const in = "narrow"
	w, other := newTenant(t), newTenant(t)
	const kustomization = `
resources: [%s, %s]
components: [%s]
patches:
- target:
    kind: Deployment
  patch: |-
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --watch-namespaces=`
	folder := overlay(t, kustomization+w.namespace+"\n",
		overlay(t, "namespace: "+in+"\nresources: [%s]\n", "config/default"),
		overlay(t, "namespace: "+w.namespace+"\nresources: [%s]\n", "config/components/namespaced/watched"),
		"config/components/namespaced")
	if _, err := kubectl("apply", "--server-side", "-k", folder); err != nil {
		t.Fatal(err)
	}
	m, err := kustomize(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := rights{}
	for _, rule := range rulesOf(t, named(t, m, "Role", watchedRole)) {
		want.add(w.namespace, rule)
	}
	create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: other.namespace, Name: "nobody"}})
	nobody, account := accountClient(t, other.namespace, "nobody"), accountClient(t, in, name)
	await(t, "the ServiceAccount has the rights of its Role and no others", func() error {
		if diff := cmp.Diff(want, granted(t, nobody, account, w.namespace, other.namespace)); diff != "" {
			return fmt.Errorf("(-Role +granted):\n%s", diff)
		}
		return nil
	})
	create(t, other.source("ignored", "app", v1alpha1.KeyAuthority{Data: string(newKey(t).PublicPEM())}))

	if step, err := startTrial(t, w, home{namespace: in, manifests: m}).run(); err != nil {
		t.Errorf("%s: %v", step, err)
	}
	if obj, err := other.get("ignored"); err != nil || obj.Status.ObservedGeneration > 0 {
		t.Errorf("expected a ModuleSource in another namespace to be left alone, found %+v, %v", obj.Status, err)
	}
}
