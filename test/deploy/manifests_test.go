package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manifests are objects as kustomize writes them, in its order.
type manifests []*unstructured.Unstructured

// kustomize builds a folder of this repository.
func kustomize(folder string) (manifests, error) {
	cmd := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", folder)
	cmd.Dir = root
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("kustomize build %s: %w\n%s", folder, err, problems.Bytes())
	}
	// The go command writes there too, what it downloads.
	if bytes.Contains(problems.Bytes(), []byte("Warning")) {
		return nil, fmt.Errorf("kustomize build %s warns: %s", folder, problems.Bytes())
	}
	return decode(&out)
}

func decode(r io.Reader) (manifests, error) {
	var list manifests
	for decoder := yaml.NewYAMLOrJSONDecoder(r, 4096); ; {
		obj := &unstructured.Unstructured{}
		switch err := decoder.Decode(obj); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, obj)
	}
}

// apply applies the objects one after the other, as kubectl apply -k does.
func (m manifests) apply(ctx context.Context, kube client.Client) error {
	for _, obj := range m {
		if err := kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj.DeepCopy()), client.FieldOwner("test")); err != nil {
			return fmt.Errorf("applying %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
	}
	return nil
}

// find reads the one object of a kind and name into a type.
func (m manifests) find(kind, name string, into any) error {
	var found []*unstructured.Unstructured
	for _, obj := range m {
		if obj.GetKind() == kind && obj.GetName() == name {
			found = append(found, obj)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("expected one %s %s, found %d", kind, name, len(found))
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, into, true)
}

// An overlay with another namespace, and nothing else, moves everything.
func TestAnotherNamespace(t *testing.T) {
	overlay := t.TempDir()
	base, err := filepath.Rel(overlay, filepath.Join(root, "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), fmt.Appendf(nil, "namespace: elsewhere\nresources: [%s]\n", base), 0o600); err != nil {
		t.Fatal(err)
	}
	moved, err := kustomize(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if len(moved) != len(installed) {
		t.Errorf("expected %d objects, found %d", len(installed), len(moved))
	}
	for _, obj := range moved {
		raw, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(namespace)) {
			t.Errorf("%s %s still names %s", obj.GetKind(), obj.GetName(), namespace)
		}
	}
}
