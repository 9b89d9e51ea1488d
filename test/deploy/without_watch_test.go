package deploy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestWithoutWatchingReferences: the rights are those of config/default but for
// list and watch of Secrets and ConfigMaps, and the controller is told.
func TestWithoutWatchingReferences(t *testing.T) {
	narrow, err := kustomize("config/without-watching-references")
	if err != nil {
		t.Fatal(err)
	}
	want, found := rulesOf(t, installed), rulesOf(t, narrow)
	for _, rule := range want {
		if r := rule.(map[string]any); cmp.Equal(r["resources"], []any{"configmaps", "secrets"}) {
			if !cmp.Equal(r["verbs"], []any{"get", "list", "watch"}) {
				t.Errorf("config/default: expected get, list and watch, found %v", r["verbs"])
			}
			r["verbs"] = []any{"get"}
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("rules (-expected +found):\n%s", diff)
	}
	args := argsOf(t, narrow)
	if diff := cmp.Diff(append(argsOf(t, installed), "--watch-references=false"), args); diff != "" {
		t.Errorf("arguments (-expected +found):\n%s", diff)
	}
}

func rulesOf(t *testing.T, m manifests) []any {
	t.Helper()
	rules, _, err := unstructured.NestedSlice(named(t, m, "ClusterRole").Object, "rules")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func argsOf(t *testing.T, m manifests) []string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(named(t, m, "Deployment").Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	if err != nil {
		t.Fatal(err)
	}
	return args
}

func named(t *testing.T, m manifests, kind string) *unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(m, func(obj *unstructured.Unstructured) bool { return obj.GetKind() == kind && obj.GetName() == name })
	if i < 0 {
		t.Fatalf("expected a %s %s, found none", kind, name)
	}
	return m[i].DeepCopy()
}
