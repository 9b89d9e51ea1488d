package verify_test

import (
	"encoding/hex"
	"maps"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
)

const slsaPredicate = "https://slsa.dev/provenance/v1"

// object is a JSON object, for documents that no tool would make.
type object = map[string]any

// cosignPayload is a simple signing payload.
// https://github.com/sigstore/cosign/blob/v2.6.5/specs/SIGNATURE_SPEC.md
func cosignPayload(digest, payloadType string) object {
	return object{
		"critical": object{
			"identity": object{"docker-reference": "registry.example/app"},
			"image":    object{"docker-manifest-digest": digest},
			"type":     payloadType,
		},
		"optional": nil,
	}
}

// cosignOver is a right signature over any payload.
func cosignOver(t testing.TB, key *signing.Key, payload []byte) verify.Signature {
	t.Helper()
	return cosignOf(t, payload, object{signatureAnnotation: base64Of(signRaw(t, key, payload))})
}

// statement is an in-toto statement.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
func statement(predicateType string, subjects ...any) object {
	return object{"_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": predicateType}
}

// subject names an artifact by its digest.
func subject(digest string) object {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return object{"digest": object{algorithm: hex}}
}

// envelope is a DSSE envelope in protobuf's JSON.
func envelope(payloadType string, payload []byte, signatures ...[]byte) object {
	all := []any{}
	for _, s := range signatures {
		all = append(all, object{"sig": base64Of(s)})
	}
	return object{"payload": base64Of(payload), "payloadType": payloadType, "signatures": all}
}

// signedEnvelope is an envelope with a right signature over any payload.
func signedEnvelope(t testing.TB, key *signing.Key, payloadType string, payload []byte) object {
	t.Helper()
	return envelope(payloadType, payload, signRaw(t, key, pae(payloadType, payload)))
}

// bundleDocument is a Sigstore bundle of version 0.3, signed by a key, with
// this content.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
func bundleDocument(content object) object {
	document := object{
		"mediaType":            bundleType,
		"verificationMaterial": object{"publicKey": object{"hint": "a hint"}},
	}
	maps.Copy(document, content)
	return document
}

func bundleOf(t testing.TB, document any) verify.Signature {
	t.Helper()
	return verify.Signature{Format: verify.FormatBundle, Payload: marshal(t, document)}
}

// bundleOver is a bundle with a right signature over any statement.
func bundleOver(t testing.TB, key *signing.Key, payload any) verify.Signature {
	t.Helper()
	return bundleOf(t, bundleDocument(object{"dsseEnvelope": signedEnvelope(t, key, inTotoType, marshal(t, payload))}))
}

// attestation is a right attestation about the artifact.
func attestation(t testing.TB, key *signing.Key, predicateType string) verify.Signature {
	t.Helper()
	return bundleOver(t, key, statement(predicateType, subject(artifact)))
}

// messageDocument is a bundle with a message signature, which claims to be over
// the artifact of this digest.
func messageDocument(digest string, signature []byte) object {
	_, digits, _ := strings.Cut(digest, ":")
	raw, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return bundleDocument(object{"messageSignature": object{
		"messageDigest": object{"algorithm": "SHA2_256", "digest": base64Of(raw)},
		"signature":     base64Of(signature),
	}})
}
