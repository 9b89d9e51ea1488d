package verify_test

import (
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
)

// The bytes of the artifact, whose digest is judged.
var artifactBytes = []byte("an artifact")

// A message signature is over the artifact's bytes, of which a verdict knows
// only the SHA-256. So it can be judged for keys that sign that hash: not for
// Ed25519, and not for SHA-384 and SHA-512.
func TestMessageSignatures(t *testing.T) {
	for _, kind := range signing.Kinds() {
		for _, scheme := range schemes(kind) {
			t.Run(string(kind)+"/"+string(scheme), func(t *testing.T) {
				key := using(t, keyOf(t, kind, "signer"), scheme)
				policy, right := trusting(t, key), signRaw(t, key, artifactBytes)
				switch {
				case kind == signing.Ed25519, scheme == signing.CosignDefault && (kind == signing.ECDSAP384 || kind == signing.ECDSAP521):
					wantRefusal(t, verify.ReasonKeyMismatch, policy, artifact, bundleOf(t, messageDocument(artifact, right)))
				default:
					wantVerified(t, policy, artifact, bundleOf(t, messageDocument(artifact, right)))
					wantRefusal(t, verify.ReasonSignatureInvalid, policy, another, bundleOf(t, messageDocument(artifact, right)))
				}
				wantRefusal(t, verify.ReasonKeyMismatch, trusting(t, keyOf(t, kind, "other")), artifact, bundleOf(t, messageDocument(artifact, right)))
				// The digest in the bundle is a claim.
				wantRefusal(t, verify.ReasonKeyMismatch, policy, another, bundleOf(t, messageDocument(another, right)))
			})
		}
	}
}

// A signature over the empty message, the digest, or another text is not one
// over the artifact, whatever the bundle claims. A library that gives an
// Ed25519 verifier the digest as an option, and no message, takes a signature
// over the empty message for one over any artifact.
func TestMessageSignaturesOverSomethingElse(t *testing.T) {
	messages := map[string][]byte{
		"Nothing":    {},
		"Digest":     []byte(artifact),
		"HexDigest":  []byte(hexSum(artifactBytes)),
		"Prefix":     artifactBytes[:5],
		"Statement":  marshal(t, statement(signPredicate, subject(artifact))),
		"PAE":        pae(inTotoType, marshal(t, statement(signPredicate, subject(artifact)))),
		"OtherBytes": []byte("another artifact"),
	}
	for _, kind := range signing.Kinds() {
		for _, scheme := range schemes(kind) {
			for name, message := range messages {
				t.Run(string(kind)+"/"+string(scheme)+"/"+name, func(t *testing.T) {
					key := using(t, keyOf(t, kind, "signer"), scheme)
					s := bundleOf(t, messageDocument(artifact, signRaw(t, key, message)))
					wantRefusal(t, verify.ReasonKeyMismatch, trusting(t, key), artifact, s)
				})
			}
		}
	}
}

func TestMessageSignatureDocuments(t *testing.T) {
	key := p256(t, "signer")
	right := signRaw(t, key, artifactBytes)
	changed := func(change func(message object)) object {
		d := messageDocument(artifact, right)
		change(d["messageSignature"].(object))
		return d
	}
	digest := func(value any) object { return changed(func(m object) { m["messageDigest"] = value }) }
	const mismatch, malformed = verify.ReasonKeyMismatch, verify.ReasonSignatureInvalid
	tests := map[string]struct {
		reason string
		bundle object
		want   verify.Reason
	}{
		"NoDigest":          {"the format requires it", changed(func(m object) { delete(m, "messageDigest") }), mismatch},
		"DigestNull":        {"the format requires it", digest(nil), mismatch},
		"DigestEmpty":       {"of nothing", digest(object{"algorithm": "SHA2_256"}), mismatch},
		"DigestOfAnother":   {"of another artifact", messageDocument(another, right), mismatch},
		"DigestString":      {"not an object", digest(artifact), malformed},
		"AlgorithmUnknown":  {"not in the enumeration", digest(object{"algorithm": "MD5", "digest": ""}), malformed},
		"NoSignature":       {"nothing is signed", changed(func(m object) { delete(m, "signature") }), mismatch},
		"SignatureEmpty":    {"nothing is signed", changed(func(m object) { m["signature"] = "" }), mismatch},
		"SignatureChanged":  {"not what the key made", messageDocument(artifact, append([]byte{right[0] ^ 1}, right[1:]...)), mismatch},
		"SignatureLonger":   {"bytes behind it", messageDocument(artifact, append(append([]byte{}, right...), 0)), mismatch},
		"Empty":             {"nothing", bundleDocument(object{"messageSignature": object{}}), mismatch},
		"Null":              {"nothing", bundleDocument(object{"messageSignature": nil}), malformed},
		"Certificate":       {"a certificate is no key", certified(messageDocument(artifact, right)), mismatch},
		"SignatureNotABase": {"not base64", changed(func(m object) { m["signature"] = "?" }), malformed},
	}
	wantVerified(t, trusting(t, key), artifact, bundleOf(t, messageDocument(artifact, right)))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, tt.want, trusting(t, key), artifact, bundleOf(t, tt.bundle))
		})
	}
}

// certified replaces the key of a bundle by a certificate.
func certified(document object) object {
	document["verificationMaterial"] = object{"certificate": object{"rawBytes": base64Of(certificateDER())}}
	return document
}
