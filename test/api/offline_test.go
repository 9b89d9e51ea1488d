package api

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/cmd/assay/manifests"
)

// What `assay verify -f` says of a manifest without an API server must be what
// an API server says. Every example of this package is asked twice: [ask] calls
// sameOffline.

var offline = sync.OnceValues(manifests.NewAPIServer)

// answerOffline asks without an API server. It changes obj into what would be
// stored.
func answerOffline(t *testing.T, obj *unstructured.Unstructured) manifests.Answer {
	t.Helper()
	server, err := offline()
	if err != nil {
		t.Fatal(err)
	}
	return server.Create(background, obj.Object)
}

// sameOffline compares what the API server made of an object, or why it refused
// it, with what is said of it without one: the same fields in the same words.
func sameOffline(t *testing.T, asked, stored *unstructured.Unstructured, refusals map[string][]string) {
	t.Helper()
	var found map[string][]string
	for _, err := range answerOffline(t, asked).Refused {
		if found == nil {
			found = map[string][]string{}
		}
		found[err.Field] = append(found[err.Field], err.ErrorBody())
	}
	if diff := cmp.Diff(sorted(refusals), sorted(found)); diff != "" {
		t.Errorf("refused (-by the API server +without one):\n%s", diff)
	}
	if refusals != nil || found != nil {
		return
	}
	if diff := cmp.Diff(stored.Object["spec"], asked.Object["spec"]); diff != "" {
		t.Errorf("spec (-as the API server stores it +without one):\n%s", diff)
	}
}

func sorted(refusals map[string][]string) map[string][]string {
	all := make(map[string][]string, len(refusals))
	for name, messages := range refusals {
		all[name] = slices.Sorted(slices.Values(messages))
	}
	return all
}

// TestOfflineIsAsStrict: the same fields are unknown, above all where they are
// dropped; in metadata too.
func TestOfflineIsAsStrict(t *testing.T) {
	everywhere := map[string]func(obj map[string]any){
		"spec":              func(obj map[string]any) { set("urls", "x")(obj["spec"].(map[string]any)) },
		"secretRef":         func(obj map[string]any) { set("secretRef.key", "x")(obj["spec"].(map[string]any)) },
		"kept below verify": func(obj map[string]any) { set("verify.treshold", int64(1))(obj["spec"].(map[string]any)) },
		"root":              func(obj map[string]any) { obj["specs"] = map[string]any{} },
		"metadata":          func(obj map[string]any) { obj["metadata"].(map[string]any)["label"] = map[string]any{} },
		"status": func(obj map[string]any) {
			obj["status"] = map[string]any{"observedGeneration": int64(1), "observd": map[string]any{}}
		},
		"two": func(obj map[string]any) {
			obj["spec"].(map[string]any)["tags"], obj["spec"].(map[string]any)["urls"] = "x", "y"
		},
	}
	for name, misspell := range everywhere {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := write(full)
			misspell(obj.Object)
			var wanted []string
			for _, path := range answerOffline(t, obj.DeepCopy()).Unknown {
				wanted = append(wanted, `unknown field "`+path+`"`)
			}
			err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
			if (err == nil) != (wanted == nil) {
				t.Fatalf("expected a refusal where one is expected without an API server, found %v and %q", err, wanted)
			}
			if err == nil {
				return
			}
			for _, want := range wanted {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("expected the API server to say %s, found %v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "unknown field"); !apierrors.IsBadRequest(err) || n != len(wanted) {
				t.Errorf("expected a bad request with %d unknown fields, found %v", len(wanted), err)
			}
		})
	}
}

// TestOfflineJudgesMetadata compares names, and what else stands beside spec.
func TestOfflineJudgesMetadata(t *testing.T) {
	written := map[string]map[string]any{
		"name":                   {"name": "a.b-c.1"},
		"longest":                {"name": strings.Repeat("a", 253)},
		"too long":               {"name": strings.Repeat("a", 254)},
		"capitals":               {"name": "App"},
		"underscore":             {"name": "my_app"},
		"empty":                  {"name": ""},
		"none":                   {},
		"generated":              {"generateName": "app-"},
		"generated, capitals":    {"generateName": "App-"},
		"generated from nothing": {"generateName": ""},
		"slash":                  {"name": "a/b"},
		"label":                  {"name": "app", "labels": map[string]any{"a/b": "c"}},
		"label of two slashes":   {"name": "app", "labels": map[string]any{"a/b/c": "d"}},
		"label's value":          {"name": "app", "labels": map[string]any{"a": "b c"}},
		"annotation":             {"name": "app", "annotations": map[string]any{"a b": "c"}},
		"annotations too large":  {"name": "app", "annotations": map[string]any{"a": strings.Repeat("b", 1<<18)}},
		"finalizer":              {"name": "app", "finalizers": []any{"a b"}},
		"owner":                  {"name": "app", "ownerReferences": []any{map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "x"}}},
		"label is a number":      {"name": "app", "labels": map[string]any{"a": int64(1)}},
		"annotation is true":     {"name": "app", "annotations": map[string]any{"a": true}},
		"labels are a list":      {"name": "app", "labels": []any{"a"}},
	}
	for name, metadata := range written {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := write()
			metadata["namespace"] = metav1.NamespaceDefault
			obj.Object["metadata"] = metadata
			answer := answerOffline(t, obj.DeepCopy())
			err := kube.Create(background, obj, client.DryRunAll)
			if (err == nil) != (len(answer.Refused) == 0) {
				t.Fatalf("expected the API server's answer, which is %v, found %v", err, answer.Refused)
			}
			if !apierrors.IsInvalid(err) {
				return
			}
			// The words are those of another version of Kubernetes, as far as they
			// are not of this repository's definition.
			want, found := map[string]bool{}, map[string]bool{}
			for path := range refusalsOf(t, err) {
				want[index.ReplaceAllString(path, "")] = true
			}
			for _, refusal := range answer.Refused {
				found[index.ReplaceAllString(refusal.Field, "")] = true
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("refused fields (-by the API server +without one):\n%s", diff)
			}
		})
	}
}

// TestOfflineLeavesStatusAlone: a manifest that was read from a cluster may hold
// one, and creating the object drops it before it is looked at.
func TestOfflineLeavesStatusAlone(t *testing.T) {
	for name, status := range map[string]any{
		"number as text": map[string]any{"observedGeneration": "one"},
		"text":           "x",
		"null":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := write()
			obj.Object["status"] = status
			if refusals := ask(t, obj); refusals != nil {
				t.Errorf("expected it to be accepted, found %v", refusals)
			}
		})
	}
}
