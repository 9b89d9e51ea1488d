package deploy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func samples(t *testing.T) manifests {
	t.Helper()
	list, err := kustomize("config/samples")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSamplesAreAccepted(t *testing.T) {
	in, sources := newNamespace(t), 0
	for _, obj := range samples(t) {
		obj.SetNamespace(in)
		// A misspelt field would be dropped without the strict validation.
		if err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Errorf("%s %s: %v", obj.GetKind(), obj.GetName(), err)
		}
		if obj.GetKind() == "ModuleSource" {
			sources++
		}
	}
	if sources == 0 {
		t.Error("expected a ModuleSource among the samples, found none")
	}
}
