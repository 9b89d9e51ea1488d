package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Names of annotations and media types, written out: a test that took them
// from the code under test would not notice that they changed.
const (
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	cosignType          = "cosign container image signature"
	inTotoType          = "application/vnd.in-toto+json"
	signPredicate       = "https://sigstore.dev/cosign/sign/v1"
	bundleType          = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// The digests that the tests judge: artifact unless they say otherwise.
var (
	artifact = digestOf("an artifact")
	another  = digestOf("another artifact")
)

func digestOf(content string) string {
	return "sha256:" + hexSum([]byte(content))
}

func hexSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

var (
	keysMutex sync.Mutex
	keysMade  = map[string]*signing.Key{}
)

// keyOf returns the key of this kind and name, the same each time: RSA keys
// take long to make.
func keyOf(t testing.TB, kind signing.Kind, name string) *signing.Key {
	t.Helper()
	keysMutex.Lock()
	defer keysMutex.Unlock()
	id := string(kind) + " " + name
	if keysMade[id] == nil {
		key, err := signing.NewKey(kind)
		if err != nil {
			t.Fatalf("making a key: %v", err)
		}
		keysMade[id] = key
	}
	return keysMade[id]
}

// p256 returns the P-256 key of this name.
func p256(t testing.TB, name string) *signing.Key {
	t.Helper()
	return keyOf(t, signing.ECDSAP256, name)
}

func using(t testing.TB, key *signing.Key, scheme signing.Scheme) *signing.Key {
	t.Helper()
	other, err := key.Using(scheme)
	if err != nil {
		t.Fatalf("using the scheme %s: %v", scheme, err)
	}
	return other
}

// schemes lists the ways in which keys of a kind sign.
func schemes(kind signing.Kind) []signing.Scheme {
	if kind == signing.Ed25519 {
		return []signing.Scheme{signing.CosignDefault, signing.PureEd25519}
	}
	return []signing.Scheme{signing.CosignDefault, signing.SHA256}
}

// trusted parses the public keys.
func trusted(t testing.TB, keys ...*signing.Key) []verify.Key {
	t.Helper()
	var all []verify.Key
	for _, k := range keys {
		parsed, err := verify.ParseKeys(k.PublicPEM())
		if err != nil {
			t.Fatalf("parsing a public key: %v", err)
		}
		all = append(all, parsed...)
	}
	return all
}

func fingerprint(t testing.TB, key *signing.Key) string {
	t.Helper()
	return trusted(t, key)[0].Fingerprint()
}

func authority(t testing.TB, name string, keys ...*signing.Key) verify.Authority {
	t.Helper()
	return verify.Authority{Name: name, Keys: trusted(t, keys...), TransparencyLog: verify.LogIgnore}
}

// trusting is a policy of one authority, release, with these keys.
func trusting(t testing.TB, keys ...*signing.Key) verify.Policy {
	t.Helper()
	return threshold(1, authority(t, "release", keys...))
}

func threshold(n int, authorities ...verify.Authority) verify.Policy {
	return verify.Policy{Threshold: n, Authorities: authorities}
}

// formats are both formats, with how each signs.
var formats = map[verify.Format]func(t testing.TB, digest string, key *signing.Key) verify.Signature{
	verify.FormatCosign: cosignSigned,
	verify.FormatBundle: bundleSigned,
}

func cosignSigned(t testing.TB, digest string, key *signing.Key) verify.Signature {
	t.Helper()
	s, err := signing.NewSignature("registry.example/app@"+digest, key)
	if err != nil {
		t.Fatalf("signing: %v", err)
	}
	return cosignOf(t, s.Payload, map[string]any{signatureAnnotation: s.Base64})
}

func cosignOf(t testing.TB, payload []byte, annotations any) verify.Signature {
	t.Helper()
	return verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: marshal(t, annotations)}
}

func bundleSigned(t testing.TB, digest string, key *signing.Key) verify.Signature {
	t.Helper()
	raw, err := signing.NewBundle(signing.Statement{Digest: digest}, key)
	if err != nil {
		t.Fatalf("signing: %v", err)
	}
	return verify.Signature{Format: verify.FormatBundle, Payload: raw}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	return raw
}

// signRaw signs any message, in the key's scheme.
func signRaw(t testing.TB, key *signing.Key, message []byte) []byte {
	t.Helper()
	signer, ok := key.Verifier().(signature.Signer)
	if !ok {
		t.Fatalf("a %T does not sign", key.Verifier())
	}
	raw, err := signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatalf("signing: %v", err)
	}
	return raw
}

// pae is the encoding that a DSSE signature is over.
// https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
func pae(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

// wantVerified fails the test unless the verdict is yes, with evidence, and
// nothing panicked.
func wantVerified(t testing.TB, policy verify.Policy, digest string, signatures ...verify.Signature) verify.Verified {
	t.Helper()
	v, err := verify.Verify(policy, digest, signatures)
	if err != nil {
		t.Fatalf("expected a yes, found %v", err)
	}
	if v.IsZero() || v.Digest() != digest || v.PolicyHash() != policy.Hash() || len(v.Signers()) < policy.Threshold {
		t.Fatalf("the yes does not say what was judged: %+v", v)
	}
	if v.Panics() != 0 {
		t.Fatalf("%d panics", v.Panics())
	}
	return v
}

// wantRefusal fails the test unless the verdict is no, for this reason, and
// nothing panicked.
func wantRefusal(t testing.TB, want verify.Reason, policy verify.Policy, digest string, signatures ...verify.Signature) *verify.Refusal {
	t.Helper()
	v, err := verify.Verify(policy, digest, signatures)
	if !v.IsZero() || v.Digest() != "" || v.PolicyHash() != "" || len(v.Signers()) != 0 {
		t.Fatalf("expected %s, found a Verified that is not zero: %+v", want, v)
	}
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("expected %s, found the error %v", want, err)
	}
	if refusal.Reason != want {
		t.Fatalf("expected %s, found %s: %s", want, refusal.Reason, refusal.Message)
	}
	if refusal.Panics != 0 {
		t.Fatalf("%s after %d panics: %s", want, refusal.Panics, refusal.Message)
	}
	return refusal
}
