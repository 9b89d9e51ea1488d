package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

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
	if problems.Len() > 0 {
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
