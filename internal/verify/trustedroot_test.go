package verify_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// dropped is a fixture's trusted root without some of its parts.
func dropped(t testing.TB, name string, parts ...string) []byte {
	t.Helper()
	return edited(t, name, func(root map[string]any) {
		for _, part := range parts {
			if _, ok := root[part]; !ok {
				t.Fatalf("%s has no %s", name, part)
			}
			delete(root, part)
		}
	})
}

func edited(t testing.TB, name string, edit func(root map[string]any)) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(readFixture(t, "trust", name+".json"), &root); err != nil {
		t.Fatal(err)
	}
	edit(root)
	return marshal(t, root)
}

const rootMediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

func TestParseTrustedRootRefuses(t *testing.T) {
	all := []string{"tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"}
	tests := map[string]struct {
		raw  []byte
		says string
	}{
		"Nothing":       {nil, rootMediaType},
		"EmptyObject":   {[]byte("{}"), rootMediaType},
		"EmptyRoot":     {dropped(t, "trusted_root", all...), "at least one authority or log"},
		"NotJSON":       {[]byte("-----BEGIN PUBLIC KEY-----"), rootMediaType},
		"PublicKey":     {readFixture(t, "trust", "cosign.pub"), rootMediaType},
		"Chain":         {readFixture(t, "trust", "fulcio-chain.pem"), rootMediaType},
		"SigningConfig": {[]byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`), rootMediaType},
		"TUFRoot":       {[]byte(`{"signed":{"_type":"root"},"signatures":[]}`), rootMediaType},
		"OtherVersion":  {edited(t, "trusted_root", func(r map[string]any) { r["mediaType"] = rootMediaType + "1" }), rootMediaType},
		"UnknownField":  {edited(t, "trusted_root", func(r map[string]any) { r["tlog"] = []any{} }), rootMediaType},
		"TooLong":       {append(readFixture(t, "trust", "trusted_root.json"), bytes.Repeat([]byte(" "), verify.MaxTrustedRootBytes)...), "at most 1048576 bytes"},
		"TooManyLogs": {edited(t, "trusted_root", func(r map[string]any) {
			log := r["tlogs"].([]any)[0]
			for range 64 {
				r["tlogs"] = append(r["tlogs"].([]any), log)
			}
		}), "at most 64"},
		"MalformedCertificate": {edited(t, "trusted_root", func(r map[string]any) {
			r["certificateAuthorities"].([]any)[0].(map[string]any)["certChain"] = map[string]any{"certificates": []any{map[string]any{"rawBytes": "AAAA"}}}
		}), "malformed"},
		"NullAuthority": {edited(t, "trusted_root", func(r map[string]any) { r["certificateAuthorities"] = []any{nil} }), "expected"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := verify.ParseTrustedRoot(tt.raw)
			if err == nil || root != nil {
				t.Fatalf("expected a refusal, found %v", root)
			}
			if !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 200 {
				t.Errorf("expected a short error that says %q, found %v", tt.says, err)
			}
		})
	}
}

// The hash is of what the root means, not of how it is written.
func TestTrustedRootHash(t *testing.T) {
	raw := readFixture(t, "trust", "trusted_root.json")
	hash := func(raw []byte) string {
		root, err := verify.ParseTrustedRoot(raw)
		if err != nil {
			t.Fatal(err)
		}
		return root.Hash()
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "    "); err != nil {
		t.Fatal(err)
	}
	if hash(raw) != hash(indented.Bytes()) || hash(raw) != hash(edited(t, "trusted_root", func(map[string]any) {})) {
		t.Error("the hash depends on white space or on the order of fields")
	}
	seen := map[string]string{}
	for _, name := range []string{"trusted_root", "trusted_root_other", "trusted_root_other_ct", "trusted_root_other_fulcio", "trusted_root_other_rekor", "trusted_root_other_tsa"} {
		h := hash(readFixture(t, "trust", name+".json"))
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
}

// A root that lacks what a policy requires is no policy.
func TestPolicyNeedsOfItsRoot(t *testing.T) {
	full := rootOf(t, "trusted_root")
	without := func(parts ...string) *verify.TrustedRoot {
		root, err := verify.ParseTrustedRoot(dropped(t, "trusted_root", parts...))
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	email := fixtureIdentities[fixtures.Email]
	tests := map[string]struct {
		policy verify.Policy
		says   string // "" where it is fine
	}{
		"Keyless":                   {keyless(t, full, verify.LogRequire, email), ""},
		"KeylessNoLog":              {keyless(t, without("tlogs"), verify.LogRequire, email), "with a transparency log"},
		"KeylessIgnoreNoLog":        {keyless(t, without("tlogs"), verify.LogIgnore, email), ""},
		"KeylessNoAuthority":        {keyless(t, without("certificateAuthorities"), verify.LogRequire, email), "with a certificate authority"},
		"KeylessNoTimestamper":      {keyless(t, without("timestampAuthorities"), verify.LogIgnore, email), "with a timestamp authority"},
		"KeylessRequireNoTimestamp": {keyless(t, without("timestampAuthorities"), verify.LogRequire, email), ""},
		"KeylessNoRoot":             {keyless(t, nil, verify.LogRequire, email), "expected a trusted root, found none"},
		"KeyNoRoot":                 {keyedWithLog(t, "cosign", nil), "expected a trusted root, found none"},
		"KeyNoLog":                  {keyedWithLog(t, "cosign", without("tlogs")), "with a transparency log"},
		"KeyOnlyLog":                {keyedWithLog(t, "cosign", without("ctlogs", "certificateAuthorities", "timestampAuthorities")), ""},
		"KeyIgnore":                 {trustingFixture(t, "cosign"), ""},
		"NoIdentities":              {keyless(t, full, verify.LogRequire), "expected at least one public key or identity"},
		"EmptyIdentity": {threshold(1, verify.Authority{Name: "a", Identities: []verify.Identity{{}}, TransparencyLog: verify.LogRequire, Root: full}),
			"expected an issuer and a subject, found an empty identity"},
		"NoMode": {threshold(1, verify.Authority{Name: "a", Identities: []verify.Identity{identityOf(t, email)}, Root: full}), `expected "Require" or "Ignore"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.policy.Validate()
			if (err == nil) != (tt.says == "") || (err != nil && !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("expected an error that says %q, found %v", tt.says, err)
			}
			if v, err := verify.Verify(tt.policy, artifact, nil); !v.IsZero() || err == nil {
				t.Error("a verdict without signatures")
			}
		})
	}
}
