package monitoring

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestComponent builds config/default with the component, moved to another
// namespace: the ServiceMonitor finds the Service, that finds the Pods, and the
// ConfigMap holds the dashboard.
func TestComponent(t *testing.T) {
	overlay := t.TempDir()
	relative := func(folder string) string {
		path, err := filepath.Rel(overlay, filepath.Join(root(t), folder))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := "namespace: elsewhere\nresources: [" + relative("config/default") + "]\ncomponents: [" + relative(Component) + "]\n"
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := build(t, overlay)
	for name, obj := range objects {
		if namespace := obj.GetNamespace(); namespace != "" && namespace != "elsewhere" {
			t.Errorf("%s stays in the namespace %s", name, namespace)
		}
	}
	get := func(name string, path ...string) any {
		obj, ok := objects[name]
		if !ok {
			t.Fatalf("expected a %s", name)
		}
		value, found, err := unstructured.NestedFieldNoCopy(obj.Object, path...)
		if err != nil || !found {
			t.Fatalf("%s: expected %v, %v", name, path, err)
		}
		return value
	}
	const service, monitor = "Service assay-controller-metrics", "ServiceMonitor assay-controller"
	selects(t, "the ServiceMonitor", get(monitor, "spec", "selector", "matchLabels"), get(service, "metadata", "labels"))
	selects(t, "the Service", get(service, "spec", "selector"), get("Deployment assay-controller", "spec", "template", "metadata", "labels"))
	if get(service, "spec", "publishNotReadyAddresses") != true {
		t.Error("expected the Service to find replicas that are not ready")
	}
	port := get(service, "spec", "ports").([]any)[0].(map[string]any)
	endpoint := get(monitor, "spec", "endpoints").([]any)[0].(map[string]any)
	if endpoint["port"] != port["name"] || endpoint["honorLabels"] != true {
		t.Errorf("expected the port %v with its labels honoured, found %v", port["name"], endpoint)
	}
	if labels := objects["ConfigMap assay-dashboard"].GetLabels(); labels["grafana_dashboard"] != "1" {
		t.Errorf("expected the label of Grafana's sidecar, found %v", labels)
	}
	if !json.Valid([]byte(get("ConfigMap assay-dashboard", "data", "assay.json").(string))) {
		t.Error("expected the dashboard in the ConfigMap")
	}
	get("PrometheusRule assay", "spec", "groups")
}

// selects expects labels to hold all of a selector.
func selects(t *testing.T, what string, selector, labels any) {
	t.Helper()
	if len(selector.(map[string]any)) == 0 {
		t.Errorf("%s selects everything", what)
	}
	for key, value := range selector.(map[string]any) {
		if labels.(map[string]any)[key] != value {
			t.Errorf("%s selects %s=%v, found %v", what, key, value, labels)
		}
	}
}

// build has kustomize build a folder; the objects are by "Kind name".
func build(t *testing.T, folder string) map[string]*unstructured.Unstructured {
	t.Helper()
	cmd := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", folder)
	cmd.Dir = root(t)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil || bytes.Contains(problems.Bytes(), []byte("Warning")) {
		t.Fatalf("kustomize build: %v\n%s", err, problems.Bytes())
	}
	objects := map[string]*unstructured.Unstructured{}
	for decoder := yaml.NewYAMLOrJSONDecoder(&out, 4096); ; {
		obj := &unstructured.Unstructured{}
		switch err := decoder.Decode(obj); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatal(err)
		}
		objects[obj.GetKind()+" "+obj.GetName()] = obj
	}
}
