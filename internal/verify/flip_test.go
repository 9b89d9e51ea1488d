package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// mutations calls test with every change of a single place of text: each bit
// of each byte flipped, each byte replaced by one that means something in JSON
// or base64, each byte left out, each doubled, and text cut off at each place.
func mutations(text []byte, test func(at int, mutated []byte)) {
	try := func(at int, parts ...[]byte) {
		if mutated := slices.Concat(parts...); !bytes.Equal(mutated, text) {
			test(at, mutated)
		}
	}
	for i, old := range text {
		before, after := text[:i], text[i+1:]
		for bit := range 8 {
			try(i, before, []byte{old ^ 1<<bit}, after)
		}
		for _, b := range []byte(" \n\"\\{}:,=-_+/A0\x00\xff") {
			try(i, before, []byte{b}, after)
		}
		try(i, before, after)
		try(i, before, []byte{old, old}, after)
		try(i, before)
	}
}

// wantRefused fails the test if the verdict is yes. Why it is no does not
// matter here.
func wantRefused(t *testing.T, policy verify.Policy, signature verify.Signature, at int) {
	t.Helper()
	if v, err := verify.Verify(policy, artifact, []verify.Signature{signature}); err == nil || !v.IsZero() {
		t.Fatalf("verified after a change at %d: %q %q", at, signature.Payload, signature.Annotations)
	}
}

// All of a simple signing payload is signed.
func TestFlipsOfCosignPayloads(t *testing.T) {
	key := p256(t, "signer")
	policy, right := trusting(t, key), cosignSigned(t, artifact, key)
	mutations(right.Payload, func(at int, mutated []byte) {
		s := right
		s.Payload = mutated
		wantRefused(t, policy, s, at)
	})
}

// Of the annotations, only the spelling may change: whitespace around the JSON,
// and of base64 the bits of the last letter that stand for nothing (RFC 4648,
// section 3.5), and line ends, which Go's decoder skips.
func TestFlipsOfCosignAnnotations(t *testing.T) {
	key := p256(t, "signer")
	policy, right := trusting(t, key), cosignSigned(t, artifact, key)
	want := annotatedSignature(right.Annotations)
	spelling := 0
	mutations(right.Annotations, func(at int, mutated []byte) {
		s := right
		s.Annotations = mutated
		if got := annotatedSignature(mutated); got != nil && bytes.Equal(want, got) {
			spelling++
			return
		}
		wantRefused(t, policy, s, at)
	})
	// Fewer than three bytes are free at the end of base64, and a space may
	// replace nothing in JSON without one.
	if spelling > 20 {
		t.Errorf("%d changes are mere spelling, expected a few", spelling)
	}
}

// annotatedSignature is what the annotation decodes to, or nil.
func annotatedSignature(annotations []byte) []byte {
	var parsed map[string]any
	if json.Unmarshal(annotations, &parsed) != nil {
		return nil
	}
	text, _ := parsed[signatureAnnotation].(string)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}

// What of a bundle a signature binds, and what decides how it is judged.
type bound struct {
	MediaType            string
	VerificationMaterial struct{ PublicKey, Certificate *struct{} }
	DSSEEnvelope         struct {
		Payload, PayloadType string
		Signatures           []struct{ Sig, KeyID string }
	}
}

// signedParts are the payload's type, the payload, and the signature, if the
// text is a bundle of a version up to 0.3, signed by a key or by a certificate.
func signedParts(text []byte) (payloadType string, payload, signature []byte, ok bool) {
	var b bound
	if json.Unmarshal(text, &b) != nil || (b.VerificationMaterial.PublicKey == nil && b.VerificationMaterial.Certificate == nil) || len(b.DSSEEnvelope.Signatures) != 1 {
		return "", nil, nil, false
	}
	version := strings.TrimSuffix(strings.TrimPrefix(b.MediaType, "application/vnd.dev.sigstore.bundle.v0."), "+json")
	if version != "1" && version != "2" && version != "3" {
		return "", nil, nil, false
	}
	payload, err := protoBase64(b.DSSEEnvelope.Payload)
	if err != nil {
		return "", nil, nil, false
	}
	signature, err = protoBase64(b.DSSEEnvelope.Signatures[0].Sig)
	return b.DSSEEnvelope.PayloadType, payload, signature, err == nil
}

// protoBase64 decodes as protobuf's JSON says: "Either standard or URL-safe
// base64 encoding with/without paddings are accepted."
// https://protobuf.dev/programming-guides/json/
func protoBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

// Of a bundle, only this may change: whitespace, the hint, which version up to
// 0.3 it says it is, and the spelling of base64. The signature is then over the
// same bytes.
func TestFlipsOfBundles(t *testing.T) {
	key := p256(t, "signer")
	policy, right := trusting(t, key), bundleSigned(t, artifact, key)
	var indented bytes.Buffer
	if err := json.Indent(&indented, right.Payload, "", " "); err != nil {
		t.Fatal(err)
	}
	right.Payload = indented.Bytes()
	wantVerified(t, policy, artifact, right)
	wantType, wantPayload, wantSignature, ok := signedParts(right.Payload)
	if !ok {
		t.Fatalf("not read: %s", right.Payload)
	}
	free := map[string]int{}
	mutations(right.Payload, func(at int, mutated []byte) {
		s := right
		s.Payload = mutated
		payloadType, payload, signature, ok := signedParts(mutated)
		if !ok || payloadType != wantType || !bytes.Equal(payload, wantPayload) || !bytes.Equal(signature, wantSignature) {
			wantRefused(t, policy, s, at)
			return
		}
		if v, _ := verify.Verify(policy, artifact, []verify.Signature{s}); !v.IsZero() {
			free[place(right.Payload, at)]++
		}
	})
	for where := range free {
		if !slices.Contains([]string{"whitespace", "hint", "version", "payload", "sig"}, where) {
			t.Errorf("%d changes of %s do not matter", free[where], where)
		}
	}
	// Most of them would otherwise say that the test mutates nothing that counts.
	if free["hint"] == 0 || free["whitespace"] == 0 || free["payload"]+free["sig"] > 40 || free["version"] > 2 {
		t.Errorf("expected a few changes not to matter, found %v", free)
	}
}

// place names the part of a bundle in which an offset is.
func place(text []byte, at int) string {
	if strings.ContainsRune(" \n", rune(text[at])) {
		return "whitespace"
	}
	for name, field := range map[string]string{"hint": `"hint": "`, "payload": `"payload": "`, "sig": `"sig": "`} {
		from := bytes.Index(text, []byte(field)) + len(field)
		if to := from + bytes.IndexByte(text[from:], '"'); at >= from && at < to {
			return name
		}
	}
	if at == bytes.Index(text, []byte(".v0.3+json"))+len(".v0.") {
		return "version"
	}
	return string(text[max(0, at-10):at]) + "|" + string(text[at:min(len(text), at+10)])
}
