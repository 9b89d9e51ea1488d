package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// What the API server keeps although it does not know it, Go code must see.

// kept are fields below verify that the API server keeps: misspelt, misplaced,
// of other tools, or made up.
var kept = []string{
	"verify.treshold",
	"verify.Threshold",
	"verify.trustedRootRef",
	"verify.identities",
	"verify.matchOIDCIdentity",
	"verify.UnknownFields",
	"verify.unknownFields",
	"verify.authorities[0].trustedRootref",
	"verify.authorities[0].trustRootRef",
	"verify.authorities[0].transparancyLog",
	"verify.authorities[0].TransparencyLog",
	"verify.authorities[0].ctlog",
	"verify.authorities[0].keys",
	"verify.authorities[0].Keyless",
	"verify.authorities[0].identities",
	"verify.authorities[0].key.hashAlgorithm",
	"verify.authorities[0].key.secretRef.key",
	"verify.authorities[1].key.configMapRef.key",
	"verify.authorities[1].key.SecretRef",
	"verify.authorities[1].trustedRootRef.Key",
	"verify.authorities[1].trustedRootRef.entry",
	"verify.authorities[3].trustedRootRef.mode",
	"verify.authorities[3].keyless.trustedRootRef",
	"verify.authorities[3].keyless.extensions",
	"verify.authorities[3].keyless.Identities",
	"verify.authorities[3].keyless.identities[0].Extensions",
	"verify.authorities[3].keyless.identities[0].EXTENSIONS",
	"verify.authorities[3].keyless.identities[0].extension",
	"verify.authorities[3].keyless.identities[0].extensions[0].regExp",
	"verify.authorities[3].keyless.identities[1].Issuer",
	"verify.authorities[3].keyless.identities[1].subjectRegexp",
	"verify.authorities[4].keyless.identities[0].trustedRoot",
}

// inVerify is a path as Verify has it.
func inVerify(path string) string { return strings.TrimPrefix(path, "verify.") }

// readings are the ways in which a stored object comes to Go code.
var readings = map[string]func(*unstructured.Unstructured) (*v1alpha1.ModuleSource, error){
	"typed client": func(stored *unstructured.Unstructured) (*v1alpha1.ModuleSource, error) {
		obj := &v1alpha1.ModuleSource{}
		return obj, kube.Get(background, client.ObjectKeyFromObject(stored), obj)
	},
	"typed list": func(stored *unstructured.Unstructured) (*v1alpha1.ModuleSource, error) {
		list := &v1alpha1.ModuleSourceList{}
		err := kube.List(background, list, client.InNamespace(stored.GetNamespace()), client.MatchingFields{"metadata.name": stored.GetName()})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("expected one object, found %d", len(list.Items))
		}
		if err != nil {
			return nil, err
		}
		return &list.Items[0], nil
	},
	"converter": func(stored *unstructured.Unstructured) (*v1alpha1.ModuleSource, error) {
		obj := &v1alpha1.ModuleSource{}
		return obj, runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, obj)
	},
	"encoding/json": func(stored *unstructured.Unstructured) (*v1alpha1.ModuleSource, error) {
		obj := &v1alpha1.ModuleSource{}
		raw, err := json.Marshal(stored.Object)
		if err != nil {
			return nil, err
		}
		return obj, json.Unmarshal(raw, obj)
	},
}

// unknownIn are the unknown fields that were noted, sorted.
func unknownIn(obj *v1alpha1.ModuleSource) []string {
	return slices.Sorted(slices.Values(obj.Spec.Verify.UnknownFields))
}

// writings are the ways in which an object is written by clients that do not
// ask the API server to refuse unknown fields.
var writings = map[string]func(*unstructured.Unstructured) error{
	"create": func(obj *unstructured.Unstructured) error {
		return kube.Create(background, obj, client.FieldValidation(metav1.FieldValidationIgnore))
	},
	"update": func(obj *unstructured.Unstructured) error {
		spec := obj.Object["spec"]
		obj.Object["spec"] = write(full).Object["spec"]
		if err := kube.Create(background, obj); err != nil {
			return err
		}
		obj.Object["spec"] = spec
		return kube.Update(background, obj, client.FieldValidation(metav1.FieldValidationIgnore))
	},
	"server-side apply": func(obj *unstructured.Unstructured) error {
		return kube.Apply(background, client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("test"))
	},
}

// TestUnknownFieldsAreKept: each way of writing and each way of reading keeps
// what narrows trust, or notes that it was written.
func TestUnknownFieldsAreKept(t *testing.T) {
	all, want := edits(full), []string(nil)
	for _, path := range kept {
		all, want = append(all, set(path, "x")), append(want, inVerify(path))
	}
	slices.Sort(want)
	for how, store := range writings {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			obj := write(all...)
			obj.SetName("kept-by-" + strings.ReplaceAll(how, " ", "-"))
			written := obj.DeepCopy()
			if err := store(obj); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := kube.Delete(background, written); err != nil {
					t.Error(err)
				}
			})
			stored := read(t, written)
			for way, decode := range readings {
				decoded, err := decode(stored)
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if diff := cmp.Diff(want, unknownIn(decoded)); diff != "" {
					t.Errorf("%s: unknown fields (-want +found):\n%s", way, diff)
				}
				sameWithout(t, way, decoded)
			}
		})
	}
}

// sameWithout compares an object that was read with what full wrote: no unknown
// field was taken for another one, and none is written back.
func sameWithout(t *testing.T, way string, decoded *v1alpha1.ModuleSource) {
	t.Helper()
	want := write(full).Object["spec"].(map[string]any)
	want["interval"], want["timeout"] = "5m0s", "1m0s"
	copied := decoded.DeepCopy()
	if diff := cmp.Diff(decoded, copied); diff != "" {
		t.Errorf("%s: the copy (-read +copied):\n%s", way, diff)
	}
	for i := range copied.Spec.Verify.UnknownFields {
		copied.Spec.Verify.UnknownFields[i] = "of the copy"
	}
	if strings.Contains(fmt.Sprint(unknownIn(decoded)), "of the copy") {
		t.Errorf("%s: expected a copy of its own, found one that shares the unknown fields", way)
	}
	raw, err := json.Marshal(copied)
	if err != nil {
		t.Fatal(err)
	}
	var marshalled map[string]any
	if err := json.Unmarshal(raw, &marshalled); err != nil {
		t.Fatal(err)
	}
	found := marshalled["spec"].(map[string]any)
	want["verify"].(map[string]any)["threshold"] = float64(5) // as encoding/json reads it
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("%s: marshalled again (-written +marshalled):\n%s", way, diff)
	}
}

// TestKeptFieldsAreRefused: a client that asks to be told does not learn of
// these, so the core must tell.
func TestKeptFieldsAreRefused(t *testing.T) {
	for _, path := range kept {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for _, value := range []any{"x", map[string]any{"key": "x"}, []any{}, false, nil} {
				obj := write(full, set(path, value))
				if err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
					t.Fatalf("%v: expected the API server to keep it, found %v: write it into the table", value, err)
				}
				var decoded v1alpha1.ModuleSource
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &decoded); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{inVerify(path)}, unknownIn(&decoded)); diff != "" {
					t.Errorf("%v: unknown fields (-want +found):\n%s", value, diff)
				}
				if err := core(obj.Object["spec"].(map[string]any)); !errors.Is(err, errUnknownField) {
					t.Errorf("%v: expected the core to refuse an unknown field, found %v", value, err)
				}
			}
		})
	}
}

// TestNoUnknownFields: what is written as it should be is read as it should be.
func TestNoUnknownFields(t *testing.T) {
	t.Parallel()
	stored := create(t, write(full))
	for way, decode := range readings {
		decoded, err := decode(stored)
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		if diff := cmp.Diff([]string(nil), unknownIn(decoded)); diff != "" {
			t.Errorf("%s: unknown fields (-want +found):\n%s", way, diff)
		}
		sameWithout(t, way, decoded)
	}
	if err := core(stored.Object["spec"].(map[string]any)); err != nil {
		t.Errorf("expected the core to accept it, found %v", err)
	}
}

// TestUnknownFieldsAreOfTheLastReading: a value that is read into again speaks
// of what was read last.
func TestUnknownFieldsAreOfTheLastReading(t *testing.T) {
	t.Parallel()
	var v v1alpha1.Verify
	for _, unknown := range []string{"first", "second", ""} {
		raw, want := []byte(`{}`), []string(nil)
		if unknown != "" {
			raw, want = fmt.Appendf(nil, `{%q: 1}`, unknown), []string{unknown}
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, v.UnknownFields); diff != "" {
			t.Errorf("%s: unknown fields (-want +found):\n%s", raw, diff)
		}
	}
}

// TestWrongTypesAreErrors: what unmarshals itself must not pass over a value of
// another type.
func TestWrongTypesAreErrors(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"authority":            `[]`,
		"name":                 `{"name": 1}`,
		"key":                  `{"name": "a", "key": "text"}`,
		"identities":           `{"name": "a", "keyless": {"identities": {}}}`,
		"identity":             `{"name": "a", "keyless": {"identities": ["x"]}}`,
		"issuer":               `{"name": "a", "keyless": {"identities": [{"issuer": 1}]}}`,
		"extensions":           `{"name": "a", "keyless": {"identities": [{"extensions": {}}]}}`,
		"extension's value":    `{"name": "a", "keyless": {"identities": [{"extensions": [{"value": 1}]}]}}`,
		"root":                 `{"name": "a", "trustedRootRef": "x"}`,
		"after an unknown one": `{"unknown": 1, "name": 1}`,
	} {
		var v v1alpha1.Verify
		if err := json.Unmarshal(fmt.Appendf(nil, `{"authorities": [%s]}`, raw), &v); err == nil {
			t.Errorf("%s: expected an error, found %+v", name, v)
		}
	}
}
