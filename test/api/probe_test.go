package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// root is the root folder of the work tree, seen from this package's folder.
const root = "../.."

// readCRD reads the generated CRD.
func readCRD(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "config", "crd", "bases", "source.assay.dev_modulesources.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// specSchema is the schema of spec in the generated CRD.
func specSchema(t *testing.T) map[string]any {
	t.Helper()
	versions, _, err := unstructured.NestedSlice(readCRD(t), "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("expected one version, found %d (%v)", len(versions), err)
	}
	schema, found, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
	if err != nil || !found {
		t.Fatalf("expected a schema of spec, found none (%v)", err)
	}
	return schema
}

// probeBatch is how many specs a probe carries. The API server estimates what
// the rules cost for all of them together.
const probeBatch = 8

// installProbe installs a CRD whose objects carry specs: a list of what spec
// is in the generated CRD, without verify. The API server's own CEL then judges
// thousands of specs in a few requests.
func installProbe(t *testing.T) {
	t.Helper()
	spec := specSchema(t)
	delete(spec["properties"].(map[string]any), "verify")
	spec["required"] = []any{"url"}
	schema := map[string]any{"type": "object", "properties": map[string]any{
		"specs": map[string]any{"type": "array", "maxItems": probeBatch, "items": spec, "x-kubernetes-list-type": "atomic"},
	}}
	crd := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "probes.test.assay.dev"},
		"spec": map[string]any{
			"group": "test.assay.dev", "scope": "Namespaced",
			"names": map[string]any{"kind": "Probe", "plural": "probes"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": schema},
			}},
		},
	}
	raw, err := json.Marshal(crd) // which is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "probe.yaml"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	options := envtest.CRDInstallOptions{Paths: []string{folder}}
	if _, err := envtest.InstallCRDs(kubeconfig, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(kubeconfig, options); err != nil {
			t.Error(err)
		}
	})
}

var probed = regexp.MustCompile(`^specs\[(\d+)\](?:\.|$)`)

// unaffordable is what the API server says where it stopped to look at the
// rules, because of what they cost.
var unaffordable = regexp.MustCompile(`cost (budget|limit)|cost exceeds`)

// probe returns for each of the specs whether the API server accepts it.
func probe(t *testing.T, specs []map[string]any) []bool {
	t.Helper()
	accepted := make([]bool, 0, len(specs))
	for len(specs) > 0 {
		n := min(len(specs), probeBatch)
		accepted = append(accepted, probeOnce(t, specs[:n])...)
		specs = specs[n:]
	}
	return accepted
}

func probeOnce(t *testing.T, specs []map[string]any) []bool {
	t.Helper()
	items := make([]any, len(specs))
	accepted := make([]bool, len(specs))
	for i := range specs {
		items[i], accepted[i] = specs[i], true
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.assay.dev/v1", "kind": "Probe",
		"metadata": map[string]any{"name": "probe", "namespace": metav1.NamespaceDefault},
		"specs":    items,
	}}
	err := kube.Create(background, obj, client.DryRunAll)
	if err == nil {
		return accepted
	}
	for field, messages := range refusalsOf(t, err) {
		m := probed.FindStringSubmatch(field)
		if m == nil {
			t.Fatalf("expected refusals of specs, found %q: %q", field, messages)
		}
		for _, message := range messages {
			if unaffordable.MatchString(message) {
				t.Fatalf("expected the specs to be judged, found %s", message)
			}
		}
		index, err := strconv.Atoi(m[1])
		if err != nil || index >= len(specs) {
			t.Fatalf("expected one of %d specs, found %q", len(specs), field)
		}
		accepted[index] = false
	}
	return accepted
}
