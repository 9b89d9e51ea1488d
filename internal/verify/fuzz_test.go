package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// The genuine signatures of the fuzz tests are those of the fixtures, because
// each worker is a process of its own, and would have keys of its own.
var fuzzedFixtures = []string{
	"v2-key-notlog", "v3-key-notlog", "other-key-notlog", "rsa-v2-notlog", "rsa-v3-rekor2", "ed25519-v2-notlog", "v3-key-rekor2", "attest-v3",
	"v2-email", "v2-tsa-notlog-email", "v3-rekor1-github", "v3-rekor2-github", "v3-tsa-email",
}

// fuzzedPolicy trusts the keys and identities of all of these.
func fuzzedPolicy(t testing.TB) verify.Policy {
	t.Helper()
	p := verify.Policy{Threshold: 1}
	for _, key := range []string{"cosign", "other", "rsa", "ed25519"} {
		p.Authorities = append(p.Authorities, trustingFixture(t, key).Authorities...)
	}
	root := rootOf(t, "trusted_root")
	for _, mode := range []verify.LogMode{verify.LogRequire, verify.LogIgnore} {
		p.Authorities = append(p.Authorities, keyless(t, root, mode, fixtureIdentities[fixtures.Email], fixtureIdentities[fixtures.GitHub], fixtureIdentities[fixtures.GitLab]).Authorities...)
		p.Authorities[len(p.Authorities)-1].Name += string(mode)
	}
	return p
}

// genuine are the signatures of one of the fixtures, and the digest.
func genuine(t testing.TB, which byte) (digest string, signatures []verify.Signature) {
	t.Helper()
	digest, places := fixture(t, fuzzedFixtures[int(which)%len(fuzzedFixtures)])
	return digest, append(append([]verify.Signature{}, places[".sig"]...), places[""]...)
}

// wantSound judges a signature twice: the outcome is one of those there are,
// the same each time, and yes only if the payload is one that was signed.
func wantSound(t *testing.T, which byte, s verify.Signature, signed func(genuine verify.Signature) bool) {
	t.Helper()
	policy := fuzzedPolicy(t)
	digest, signatures := genuine(t, which)
	v, err := verify.Verify(policy, digest, []verify.Signature{s})
	if first, second := outcome(v, err), outcome(verify.Verify(policy, digest, []verify.Signature{s})); first != second {
		t.Fatalf("two outcomes:\n%s\n%s", first, second)
	}
	if err == nil {
		if v.IsZero() || v.Digest() != digest || len(v.Signers()) < 1 {
			t.Fatalf("a yes without evidence: %+v", v)
		}
		if !slices.ContainsFunc(signatures, signed) {
			t.Fatalf("verified, and nobody signed it: %q %q", s.Payload, s.Annotations)
		}
		return
	}
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) || !v.IsZero() {
		t.Fatalf("expected a refusal, found %v and %+v", err, v)
	}
	if m := refusal.Message; len(m) > 4096 || !utf8.ValidString(m) || !strings.HasPrefix(m, digest+": expected ") {
		t.Fatalf("a message that is too long or garbled: %q", m)
	}
}

// FuzzVerifyCosign judges any payload with any annotations.
func FuzzVerifyCosign(f *testing.F) {
	for which := range len(fuzzedFixtures) {
		_, signatures := genuine(f, byte(which))
		for _, s := range signatures {
			f.Add(byte(which), s.Payload, []byte(s.Annotations))
			f.Add(byte(which+1), s.Payload, []byte(s.Annotations))
		}
	}
	f.Add(byte(0), []byte(`{"critical":{"type":"atomic container signature"}}`), []byte(`{"dev.cosignproject.cosign/signature":1}`))
	f.Add(byte(0), []byte(nil), []byte(`{"dev.cosignproject.cosign/signature":null,"dev.sigstore.cosign/bundle":{}}`))
	f.Add(byte(0), []byte(`[[[[`), []byte(`{"dev.cosignproject.cosign/signature":"AAAA","dev.sigstore.cosign/certificate":"-----BEGIN CERTIFICATE-----"}`))
	f.Fuzz(func(t *testing.T, which byte, payload, annotations []byte) {
		s := verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: annotations}
		wantSound(t, which, s, func(g verify.Signature) bool { return bytes.Equal(g.Payload, payload) })
	})
}

// FuzzVerifyBundle judges any text as a bundle.
func FuzzVerifyBundle(f *testing.F) {
	for which := range len(fuzzedFixtures) {
		_, signatures := genuine(f, byte(which))
		for _, s := range signatures {
			f.Add(byte(which), s.Payload)
			f.Add(byte(which+1), s.Payload)
		}
	}
	for _, document := range []object{
		bundleDocument(nil),
		bundleDocument(object{"dsseEnvelope": envelope(inTotoType, []byte(`{"predicateType":"`+signPredicate+`"}`), []byte("s"), []byte("s"))}),
		bundleDocument(object{"dsseEnvelope": envelope("", nil)}),
		certified(bundleDocument(object{"dsseEnvelope": envelope(inTotoType, []byte(`{"predicateType":"`+signPredicate+`"}`), []byte("s"))})),
		messageDocument(artifact, []byte("s")),
		{"mediaType": bundleType, "verificationMaterial": object{"tlogEntries": []any{object{"logIndex": "1", "kindVersion": object{"kind": "dsse", "version": "0.0.1"}}}}},
	} {
		f.Add(byte(1), marshal(f, document))
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		payloadType, payload, _, _ := signedParts(text)
		wantSound(t, which, verify.Signature{Format: verify.FormatBundle, Payload: text}, func(g verify.Signature) bool {
			wantType, want, _, ok := signedParts(g.Payload)
			return ok && payloadType == wantType && bytes.Equal(payload, want)
		})
	})
}

// FuzzParseKeys reads any text: keys and an error never come together, there is
// nothing beside the blocks of what is accepted, and no error repeats it.
func FuzzParseKeys(f *testing.F) {
	for _, name := range fixtureKeys {
		f.Add(trustedText(f, name))
	}
	f.Add(bytes.Join([][]byte{trustedText(f, "rsa"), trustedText(f, "ed25519")}, []byte("\r\n")))
	for _, texts := range []map[string]string{privateKeys(), damaged(), unsupported()} {
		for _, text := range texts {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := verify.ParseKeys(text)
		if err != nil {
			if keys != nil || len(err.Error()) > 300 || !utf8.ValidString(err.Error()) {
				t.Fatalf("%d keys, and the error %q", len(keys), err)
			}
			return
		}
		if n := len(keys); n == 0 || n > verify.MaxKeys || len(text) > 64<<10 {
			t.Fatalf("%d keys from %d bytes, and no error", n, len(text))
		}
		seen := map[string]bool{}
		for _, k := range keys {
			if seen[k.Fingerprint()] || len(k.Fingerprint()) != len(artifact) {
				t.Fatalf("fingerprints %v", fingerprints(keys))
			}
			seen[k.Fingerprint()] = true
		}
		if left := outsideOfBlocks(string(text)); left != "" {
			t.Fatalf("accepted with %q beside the keys", left)
		}
	})
}

// FuzzParseTrustedRoot reads any text: a root and an error never come together,
// no error repeats the text, and what is read is read the same again.
func FuzzParseTrustedRoot(f *testing.F) {
	for _, name := range []string{"trusted_root", "trusted_root_other"} {
		f.Add(readFixture(f, "trust", name+".json"))
	}
	f.Add([]byte(`{"mediaType":"` + rootMediaType + `","tlogs":[null],"certificateAuthorities":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, err := verify.ParseTrustedRoot(text)
		if err != nil {
			if root != nil || len(err.Error()) > 200 || !utf8.ValidString(err.Error()) {
				t.Fatalf("a root %v, and the error %q", root, err)
			}
			return
		}
		if again, err := verify.ParseTrustedRoot(text); err != nil || again.Hash() != root.Hash() {
			t.Fatalf("read again: %v", err)
		}
		identity := keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.Email])
		digest, signatures := fixture(t, "v2-email")
		if _, err := verify.Verify(identity, digest, signatures[".sig"]); err == nil && !bytes.Contains(text, []byte("certificateAuthorities")) {
			t.Fatal("verified by a root without an authority")
		}
	})
}

func trustedText(t testing.TB, name string) []byte {
	t.Helper()
	return readFixture(t, "trust", name+".pub")
}

// outsideOfBlocks returns the first line that is not between a line that begins
// a public key and the next one that ends it.
func outsideOfBlocks(text string) string {
	end := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		kind, begins := strings.CutPrefix(line, "-----BEGIN ")
		switch {
		case end == "" && begins:
			end = "-----END " + kind
		case end == "" && line != "":
			return line
		case end != "" && begins:
			return line
		case end != "" && line == end:
			end = ""
		}
	}
	return end
}

// The properties of the fuzz tests hold where they say yes, too.
func TestFuzzedFixturesAreVerified(t *testing.T) {
	accepted := 0
	for which := range len(fuzzedFixtures) {
		digest, signatures := genuine(t, byte(which))
		if _, err := verify.Verify(fuzzedPolicy(t), digest, signatures); err == nil {
			accepted++
		}
		for _, s := range signatures {
			if _, _, _, ok := signedParts(s.Payload); ok != (s.Format == verify.FormatBundle) && json.Valid(s.Payload) && fuzzedFixtures[which] != "attest-v3" {
				t.Error(fmt.Sprint(fuzzedFixtures[which], ": the parts of the bundle are not read"))
			}
		}
	}
	if accepted != len(fuzzedFixtures)-1 {
		t.Errorf("%d of %d fixtures are verified, expected all but the attestation", accepted, len(fuzzedFixtures))
	}
}
