package api

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// TestCoreAcceptsWhatTheAPIServerAccepts: a spec that the API server let
// through and the controller then calls invalid is a rule that is missing.
func TestCoreAcceptsWhatTheAPIServerAccepts(t *testing.T) {
	schema := specSchema(t)
	delete(schema["properties"].(map[string]any), "verify")
	schema["required"] = []any{"url"}
	ask := installProbe(t, "spec", schema)
	const url = "oci://registry.example.org/modules/app"
	pin := func(r text) string { return r.pick("", "sha256:"+fmt.Sprintf("%064x", r.Uint64())) }
	optional := func(percent int, generate func(text) string) func(text) string {
		return func(r text) string { return r.maybe(percent, func() string { return generate(r) }) }
	}
	generators := map[string]map[string]func(text) string{
		"url":           {"url": text.url},
		"version":       {"version": text.version},
		"versionFilter": {"versionFilter": text.filter, "version": func(r text) string { return r.pick("", "1.0.0", "6.x") }},
		"digest":        {"digest": text.digest},
		"tag":           {"tag": text.tag},
		"together": {
			"version": optional(50, text.version), "tag": optional(30, text.tag),
			"digest": pin, "versionFilter": optional(50, text.filter),
		},
	}
	for name, fields := range generators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := text{rand.New(rand.NewPCG(1, 2))}
			specs := make([]map[string]any, 1500)
			for i := range specs {
				specs[i] = map[string]any{"url": url}
				for _, field := range slices.Sorted(maps.Keys(fields)) {
					if value := fields[field](r); value != "" {
						specs[i][field] = value
					}
				}
			}
			accepted := 0
			for i, ok := range ask(t, specs) {
				err := core(specs[i])
				if ok && err != nil {
					t.Errorf("the API server accepts %q, the core refuses it: %v", specs[i], err)
				}
				if ok {
					accepted++
				}
			}
			neitherAllNorNone(t, accepted, len(specs))
		})
	}
}

// neitherAllNorNone: else a property of those that are accepted would say
// little.
func neitherAllNorNone(t *testing.T, accepted, all int) {
	t.Helper()
	if least := all / 10; accepted < least || accepted > all-least {
		t.Errorf("expected a tenth of %d to be accepted and a tenth to be refused, found %d accepted", all, accepted)
	}
}

// TestCoreAgreesOnIdentities: of an identity, the API server sees all that the
// core sees, except for fields that neither knows: these it keeps, and the core
// refuses them.
func TestCoreAgreesOnIdentities(t *testing.T) {
	ask := installProbe(t, "identity", schemaAt(t, "spec.verify.authorities[0].keyless.identities[0]"))
	r := text{rand.New(rand.NewPCG(1, 2))}
	identities := make([]map[string]any, 3000)
	for i := range identities {
		identities[i] = r.identity()
	}
	accepted, unknown := 0, 0
	for i, ok := range ask(t, identities) {
		var decoded v1alpha1.Verify
		of := map[string]any{"authorities": []any{map[string]any{"keyless": map[string]any{"identities": []any{identities[i]}}}}}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(of, &decoded); err != nil {
			t.Fatal(err)
		}
		_, err := coreIdentity(decoded.Authorities[0].Keyless.Identities[0])
		if len(decoded.UnknownFields) > 0 {
			err = errUnknownField
		}
		switch {
		case ok && errors.Is(err, errUnknownField):
			unknown++
		case ok != (err == nil):
			t.Errorf("%.100q: accepted by the API server: %t, refused by the core: %v", identities[i], ok, err)
		}
		if ok {
			accepted++
		}
	}
	neitherAllNorNone(t, accepted, len(identities))
	if unknown == 0 {
		t.Error("expected some identities with unknown fields, found none")
	}
}

// TestCoreAgreesOnAuthorities tries each combination of what an authority can
// consist of.
func TestCoreAgreesOnAuthorities(t *testing.T) {
	t.Parallel()
	parts := map[string][]any{
		"key":             {nil, map[string]any{"secretRef": named("keys")}, map[string]any{"data": publicKey(1)}, map[string]any{}},
		"keyless":         {nil, keyless(identity()), keyless()},
		"transparencyLog": {nil, "Require", "Ignore", "Prefer"},
		"trustedRootRef":  {nil, rootRef("ConfigMap"), rootRef("Secret"), rootRef("Role"), map[string]any{"kind": "Secret"}},
	}
	combinations := []map[string]any{{"name": "a"}}
	for part, values := range parts {
		var more []map[string]any
		for _, a := range combinations {
			for _, value := range values {
				with := maps.Clone(a)
				if value != nil {
					with[part] = value
				}
				more = append(more, with)
			}
		}
		combinations = more
	}
	accepted := 0
	for _, a := range combinations {
		obj := write(authorities(a))
		refusals := ask(t, obj)
		if err := core(obj.Object["spec"].(map[string]any)); (refusals == nil) != (err == nil) {
			t.Errorf("%v: refused by the API server: %v, by the core: %v", a, refusals, err)
		}
		if refusals == nil {
			accepted++
		}
	}
	// A key: 2 of 4, by 3 of 4 modes of the log, and no root with one of them.
	if want := 2*(2*3+1) + 3*3; accepted != want {
		t.Errorf("expected %d of %d to be accepted, found %d", want, len(combinations), accepted)
	}
}
