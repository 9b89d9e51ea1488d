package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// schemaAt is the schema of a field in the generated CRD, by its path from spec.
func schemaAt(t *testing.T, path string) map[string]any {
	t.Helper()
	var found map[string]any
	walk(specSchema(t), "spec", func(at string, schema map[string]any) {
		if at == path {
			found = schema
		}
	})
	if found == nil {
		t.Fatalf("expected a schema of %s, found none", path)
	}
	return found
}

// probeBatch is how many values a probe carries. The API server estimates what
// the rules cost for all of them together.
const probeBatch = 8

// probe returns for each of the values whether the API server accepts it.
type probe func(t *testing.T, values []map[string]any) []bool

// installProbe installs a CRD whose objects carry values: a list of what some
// part of spec is in the generated CRD. The API server's own CEL then judges
// thousands of values in a few requests.
func installProbe(t *testing.T, name string, item map[string]any) probe {
	t.Helper()
	schema := map[string]any{"type": "object", "properties": map[string]any{
		"values": map[string]any{"type": "array", "maxItems": probeBatch, "items": item, "x-kubernetes-list-type": "atomic"},
	}}
	kind := name + "probe"
	crd := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": kind + "s.test.assay.dev"},
		"spec": map[string]any{
			"group": "test.assay.dev", "scope": "Namespaced",
			"names": map[string]any{"kind": kind, "plural": kind + "s"},
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
	return func(t *testing.T, values []map[string]any) []bool {
		t.Helper()
		accepted := make([]bool, 0, len(values))
		for batch := range slices.Chunk(values, probeBatch) {
			accepted = append(accepted, probeOnce(t, kind, batch)...)
		}
		return accepted
	}
}

var probed = regexp.MustCompile(`^values\[(\d+)\](?:\.|$)`)

// unaffordable is what the API server says where it stopped to look at the
// rules, because of what they cost.
var unaffordable = regexp.MustCompile(`cost (budget|limit)|cost exceeds`)

// probeOnce returns which of the values the API server accepts. It looks at no
// rule as long as a value breaks the rest of the schema: those that do are left
// out then, and it is asked again.
func probeOnce(t *testing.T, kind string, values []map[string]any) []bool {
	t.Helper()
	items := make([]any, len(values))
	for i := range values {
		items[i] = values[i]
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.assay.dev/v1", "kind": kind,
		"metadata": map[string]any{"name": "probe", "namespace": metav1.NamespaceDefault},
		"values":   items,
	}}
	err := kube.Create(background, obj, client.DryRunAll)
	accepted := slices.Repeat([]bool{true}, len(values))
	if err == nil {
		return accepted
	}
	for field, messages := range refusalsOf(t, err) {
		accepted[refusedValue(t, field, messages, len(values))] = false
	}
	if !strings.Contains(err.Error(), unchecked) {
		return accepted
	}
	var rest []map[string]any
	for i, ok := range accepted {
		if ok {
			rest = append(rest, values[i])
		}
	}
	again := probeOnce(t, kind, rest)
	for i, ok := range accepted {
		if ok {
			accepted[i], again = again[0], again[1:]
		}
	}
	return accepted
}

// refusedValue is the index of the value that a refusal is about.
func refusedValue(t *testing.T, field string, messages []string, most int) int {
	t.Helper()
	m := probed.FindStringSubmatch(field)
	if m == nil {
		t.Fatalf("expected refusals of values, found %q: %q", field, messages)
	}
	for _, message := range messages {
		if unaffordable.MatchString(message) {
			t.Fatalf("expected the values to be judged, found %s", message)
		}
	}
	i, err := strconv.Atoi(m[1])
	if err != nil || i >= most {
		t.Fatalf("expected one of %d values, found %q", most, field)
	}
	return i
}
