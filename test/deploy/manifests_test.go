package deploy

import (
	"bytes"
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
)

// manifests are objects as kustomize writes them, in its order.
type manifests []*unstructured.Unstructured

// kustomize builds a folder of this repository.
func kustomize(folder string) (manifests, error) {
	out, err := build(folder)
	if err != nil {
		return nil, err
	}
	return decode(bytes.NewReader(out))
}

// build is what kustomize prints of a folder.
func build(folder string) ([]byte, error) {
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
	return out.Bytes(), nil
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

// overlay writes a kustomization, in which each %s is the path of a folder:
// absolute ones, and those of this repository.
func overlay(t *testing.T, format string, folders ...string) string {
	t.Helper()
	dir := t.TempDir()
	var bases []any
	for _, folder := range folders {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(root, filepath.FromSlash(folder))
		}
		base, err := filepath.Rel(dir, folder)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, filepath.ToSlash(base))
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), fmt.Appendf(nil, format, bases...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// as reads an object into its type.
func as[T any](t *testing.T, obj *unstructured.Unstructured) (typed T) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &typed); err != nil {
		t.Fatal(err)
	}
	return typed
}

// An overlay with another namespace, and nothing else, moves everything.
func TestAnotherNamespace(t *testing.T) {
	moved, err := kustomize(overlay(t, "namespace: elsewhere\nresources: [%s]\n", "config/default"))
	if err != nil {
		t.Fatal(err)
	}
	if len(moved) != len(installed) {
		t.Errorf("expected %d objects, found %d", len(installed), len(moved))
	}
	wantNoWordOf(t, moved, namespace)
}

func wantNoWordOf(t *testing.T, m manifests, word string) {
	t.Helper()
	for _, obj := range m {
		raw, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(word)) {
			t.Errorf("%s %s still names %s", obj.GetKind(), obj.GetName(), word)
		}
	}
}
