package verify

import "encoding/json"

// Format is the wire format of a signature.
type Format string

const (
	// FormatCosign is the format of Cosign v1 and v2: a simple signing payload
	// as a layer of the manifest under the tag sha256-<hex>.sig, the signature
	// in that layer's annotations.
	// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
	FormatCosign Format = "cosign"
	// FormatBundle is the Sigstore bundle, attached as an OCI 1.1 referrer.
	// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
	FormatBundle Format = "bundle"
)

// Signature is one signature as the registry gave it: untrusted bytes, whose
// only known property is their place. It is what is kept beside an artifact,
// to be judged again under other trust.
type Signature struct {
	// Format tells how to read Payload.
	Format Format `json:"format"`
	// Payload is the simple signing payload (FormatCosign) or the JSON of the
	// bundle (FormatBundle).
	Payload []byte `json:"payload"`
	// Annotations is the raw JSON value of the layer's annotations
	// (FormatCosign only). It is kept raw because a value of the wrong type
	// spoils that signature and must not spoil its neighbours.
	Annotations json.RawMessage `json:"annotations,omitempty"`
}
