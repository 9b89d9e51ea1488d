package api

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
)

// TestCoreAcceptsWhatTheAPIServerAccepts: a spec that the API server let
// through and the controller then calls invalid is a rule that is missing.
func TestCoreAcceptsWhatTheAPIServerAccepts(t *testing.T) {
	installProbe(t)
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
			for i, ok := range probe(t, specs) {
				err := core(specs[i])
				if ok && err != nil {
					t.Errorf("the API server accepts %q, the core refuses it: %v", specs[i], err)
				}
				if ok {
					accepted++
				}
			}
			// Neither all nor none, or the property would say little.
			if least := len(specs) / 10; accepted < least || accepted > len(specs)-least {
				t.Errorf("expected a tenth of %d to be accepted and a tenth to be refused, found %d accepted", len(specs), accepted)
			}
		})
	}
}

// core returns why the core refuses a spec. References are taken for what they
// name: one key.
func core(spec map[string]any) error {
	value := func(field string) string {
		s, _ := spec[field].(string)
		return s
	}
	if _, err := registry.ParseRepository(value("url"), false); err != nil {
		return err
	}
	if _, err := registry.NewSelector(value("version"), value("tag"), value("digest"), value("versionFilter")); err != nil {
		return err
	}
	if block, ok := spec["verify"].(map[string]any); ok {
		return corePolicy(block)
	}
	return nil
}

func corePolicy(block map[string]any) error {
	policy := verify.Policy{Threshold: 1}
	if threshold, ok := block["threshold"].(int64); ok {
		policy.Threshold = int(threshold)
	}
	for i, item := range block["authorities"].([]any) {
		a := item.(map[string]any)
		text, ok := a["key"].(map[string]any)["data"].(string)
		if !ok {
			text = publicKey(byte(i))
		}
		keys, err := verify.ParseKeys([]byte(text))
		if err != nil {
			return err
		}
		policy.Authorities = append(policy.Authorities, verify.Authority{
			Name: a["name"].(string), Keys: keys, TransparencyLog: verify.LogMode(a["transparencyLog"].(string)),
		})
	}
	return policy.Validate()
}
