package api

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// example is a ModuleSource as somebody may write it, and what the API server
// makes of it.
type example struct {
	// edits turn the smallest ModuleSource into the example.
	edits []edit
	// refused is the path below spec of the one field that is named in the
	// refusal; "" if the example is accepted, and "spec" for spec itself.
	refused string
	// says is what the refusal says to write instead.
	says string
}

// table is a list of examples by name.
type table map[string]example

// edit changes a spec. Specs are untyped, so that a field can be absent, empty,
// null, misspelt or of another type.
type edit func(spec map[string]any)

func edits(e ...edit) []edit { return e }

// smallest is the shortest spec that is accepted: one authority, and the
// highest stable version.
func smallest() map[string]any {
	return map[string]any{
		"url":    "oci://registry.example.org/modules/app",
		"verify": map[string]any{"authorities": []any{authority("release-key")}},
	}
}

// authority is an authority whose keys stand in a Secret of the same name.
func authority(name string, e ...edit) map[string]any {
	a := map[string]any{
		"name":            name,
		"key":             map[string]any{"secretRef": map[string]any{"name": name}},
		"transparencyLog": "Ignore",
	}
	for _, change := range e {
		change(a)
	}
	return a
}

// authorities replaces the spec's authorities by these.
func authorities(list ...map[string]any) edit { return set("verify.authorities", listOf(list...)) }

// several are n authorities of distinct names.
func several(n int) edit {
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = authority(fmt.Sprintf("key-%d", i))
	}
	return authorities(list...)
}

// set writes a value at a path such as "verify.authorities[0].name"; nil is
// null.
func set(path string, value any) edit {
	if n, ok := value.(int); ok {
		value = int64(n)
	}
	return func(spec map[string]any) {
		parent, last := parentOf(spec, path)
		parent[last] = value
	}
}

// drop removes what is at a path.
func drop(path string) edit {
	return func(spec map[string]any) {
		parent, last := parentOf(spec, path)
		if _, found := parent[last]; !found {
			panic("nothing to drop at " + path)
		}
		delete(parent, last)
	}
}

// rename writes what is at a path under another name beside it.
func rename(path, name string) edit {
	return func(spec map[string]any) {
		parent, last := parentOf(spec, path)
		parent[name] = parent[last]
		delete(parent, last)
	}
}

var step = regexp.MustCompile(`^([^\[]+)\[(\d+)\]$`)

func parentOf(at map[string]any, path string) (parent map[string]any, last string) {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		if m := step.FindStringSubmatch(name); m != nil {
			index, _ := strconv.Atoi(m[2])
			at = at[m[1]].([]any)[index].(map[string]any)
			continue
		}
		at = at[name].(map[string]any)
	}
	return at, names[len(names)-1]
}

// write is a ModuleSource with the smallest spec, edited.
func write(e ...edit) *unstructured.Unstructured {
	spec := smallest()
	for _, change := range e {
		change(spec)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "app", "namespace": metav1.NamespaceDefault},
		"spec":     spec,
	}}
	obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.ModuleSourceKind))
	return obj
}

// ask creates the object in a dry run, as a client does that does not ask the
// API server to refuse unknown fields. Where the answer is no, it returns what
// the refusal says, by field.
func ask(t *testing.T, obj *unstructured.Unstructured) (refusals map[string][]string) {
	t.Helper()
	asked := obj.DeepCopy()
	err := kube.Create(background, obj, client.DryRunAll, client.FieldValidation(metav1.FieldValidationIgnore))
	if err != nil {
		refusals = refusalsOf(t, err)
	}
	sameOffline(t, asked, obj, refusals)
	return refusals
}

// unchecked is what the API server adds where a missing or overlong value kept
// it from looking at the CEL rules. It names no field.
const unchecked = "some validation rules were not checked"

func refusalsOf(t *testing.T, err error) map[string][]string {
	t.Helper()
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		t.Fatalf("expected an answer or a refusal, found %v", err)
	}
	refusals := map[string][]string{}
	for _, cause := range status.ErrStatus.Details.Causes {
		if !strings.Contains(cause.Message, unchecked) {
			refusals[cause.Field] = append(refusals[cause.Field], cause.Message)
		}
	}
	if len(refusals) == 0 {
		t.Fatalf("expected a refusal that names a field, found %v", err)
	}
	return refusals
}

// run asks about each example.
func (examples table) run(t *testing.T) {
	t.Helper()
	for name, x := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.check(t)
		})
	}
}

func (x example) check(t *testing.T) {
	t.Helper()
	obj := write(x.edits...)
	refusals := ask(t, obj)
	if x.refused == "" {
		if refusals != nil {
			t.Fatalf("expected it to be accepted, found %v", refusals)
		}
		// As it was stored: without nulls and unknown fields, with defaults.
		if err := core(obj.Object["spec"].(map[string]any)); err != nil {
			t.Errorf("the API server accepts it, the core refuses it: %v", err)
		}
		return
	}
	field := below("spec", x.refused)
	// One field alone, or another rule may be what refused it.
	if fields := slices.Collect(maps.Keys(refusals)); len(fields) != 1 || fields[0] != field {
		t.Fatalf("expected %s to be refused and nothing else, found %v", field, refusals)
	}
	if !slices.ContainsFunc(refusals[field], func(m string) bool { return strings.Contains(m, x.says) }) {
		t.Errorf("%s: expected the refusal to say %q, found %q", field, x.says, refusals[field])
	}
}

func below(parent, path string) string {
	if path == parent {
		return parent
	}
	return parent + "." + path
}

// publicKey is the PEM text of a public key; each n is another key.
func publicKey(n byte) string {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
