package verify

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// immodest is an RSA key of so many bits, which nobody has the private half of.
func immodest(t *testing.T, bits int) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: n.SetBit(n.SetBit(n, bits-1, 1), 0, 1), E: 1<<31 - 1}
}

// pretending signs with what looks like a signature.
type pretending struct{ public *rsa.PublicKey }

func (p pretending) Public() crypto.PublicKey { return p.public }

func (p pretending) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, p.public.Size()), nil
}

func certificateOf(t *testing.T, public *rsa.PublicKey) *x509.Certificate {
	t.Helper()
	issuer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stampBy(t *testing.T, public *rsa.PublicKey) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte("x"))
	stamp := &timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: time.Now().UTC(), Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: true}
	raw, err := stamp.CreateResponseWithOpts(certificateOf(t, public), pretending{public}, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// bodyOf is the body of a log entry with a key in it, where that kind has it.
func bodyOf(t *testing.T, kind, version string, public []byte) []byte {
	t.Helper()
	spec := map[string]any{
		"signature":  map[string]any{"publicKey": map[string]any{"content": public}},
		"signatures": []any{map[string]any{"verifier": public}},
		"content":    map[string]any{"envelope": map[string]any{"signatures": []any{map[string]any{"publicKey": public}}}},
	}
	for name := range spec {
		if name != map[string]string{"hashedrekord": "signature", "dsse": "signatures", "intoto": "content"}[kind] {
			delete(spec, name)
		}
	}
	raw, err := json.Marshal(map[string]any{"kind": kind, "apiVersion": version, "spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func pemOf(t *testing.T, public *rsa.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// What is more than real signatures have does not reach the libraries, which
// verify under the keys in it, and parse it with functions that call themselves.
func TestBoundMaterial(t *testing.T) {
	const fine = ""
	small, large := immodest(t, maxRSABits), immodest(t, maxRSABits+1)
	entry := func(body []byte) *protobundle.VerificationMaterial {
		return &protobundle.VerificationMaterial{TlogEntries: []*protorekor.TransparencyLogEntry{{CanonicalizedBody: body}}}
	}
	stamp := func(raw []byte) *protobundle.VerificationMaterial {
		return &protobundle.VerificationMaterial{TimestampVerificationData: &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: raw}},
		}}
	}
	leaf := func(der []byte) *protobundle.VerificationMaterial {
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: der}}}
	}
	chain := func(der []byte) *protobundle.VerificationMaterial {
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{
			X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{{RawBytes: der}}},
		}}
	}
	proof := func(hashes, checkpoint int) *protobundle.VerificationMaterial {
		m := entry(bodyOf(t, "dsse", "0.0.1", pemOf(t, small)))
		m.TlogEntries[0].InclusionProof = &protorekor.InclusionProof{
			Hashes: make([][]byte, hashes), Checkpoint: &protorekor.Checkpoint{Envelope: strings.Repeat("x", checkpoint)},
		}
		return m
	}
	tests := map[string]struct {
		material *protobundle.VerificationMaterial
		says     string
	}{
		"nothing":                       {nil, fine},
		"hashedrekord":                  {entry(bodyOf(t, "hashedrekord", "0.0.1", pemOf(t, small))), fine},
		"hashedrekord, large key":       {entry(bodyOf(t, "hashedrekord", "0.0.1", pemOf(t, large))), "more than 8192 bits"},
		"second of two keys":            {entry(bodyOf(t, "hashedrekord", "0.0.1", append(pemOf(t, small), pemOf(t, large)...))), "several keys"},
		"PKCS #1":                       {entry(bodyOf(t, "hashedrekord", "0.0.1", pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(large)}))), "more than 8192 bits"},
		"certificate in the entry":      {entry(bodyOf(t, "hashedrekord", "0.0.1", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(t, large).Raw}))), "more than 8192 bits"},
		"dsse, large key":               {entry(bodyOf(t, "dsse", "0.0.1", pemOf(t, large))), "more than 8192 bits"},
		"intoto, large key":             {entry(bodyOf(t, "intoto", "0.0.2", pemOf(t, large))), "more than 8192 bits"},
		"field in another case":         {entry([]byte(strings.Replace(string(bodyOf(t, "hashedrekord", "0.0.1", pemOf(t, large))), `"signature":`, `"SIGNATURE":{},"signature":`, 1))), "more than 8192 bits"},
		"keys in a field twice":         {entry([]byte(strings.Replace(string(bodyOf(t, "dsse", "0.0.1", pemOf(t, small))), `"signatures":[`, `"Signatures":[],"signatures":[{"verifier":"`+base64.StdEncoding.EncodeToString(pemOf(t, small))+`"},`, 1))), "several keys"},
		"proposed content":              {entry([]byte(`{"kind":"dsse","apiVersion":"0.0.1","spec":{"proposedContent":{"envelope":"{}","verifiers":[]}}}`)), "what a log does not keep"},
		"another kind":                  {entry(bodyOf(t, "rekord", "0.0.1", pemOf(t, small))), "does not record signatures"},
		"another version":               {entry(bodyOf(t, "intoto", "0.0.1", pemOf(t, small))), "does not record signatures"},
		"a body that is a number":       {entry([]byte("1")), "cannot be read"},
		"a body that is long":           {entry(append(bodyOf(t, "dsse", "0.0.1", nil), bytes.Repeat([]byte(" "), maxEntryBytes)...)), "more than 32768 bytes"},
		"a proof as long as may be":     {proof(maxProofHashes, maxCheckpointBytes), fine},
		"a proof that is too long":      {proof(maxProofHashes+1, 0), "inclusion proof"},
		"a checkpoint that is too long": {proof(0, maxCheckpointBytes+1), "inclusion proof"},
		"leaf":                          {leaf(certificateOf(t, small).Raw), fine},
		"leaf, large key":               {leaf(certificateOf(t, large).Raw), "more than 8192 bits"},
		"leaf in a chain, large key":    {chain(certificateOf(t, large).Raw), "more than 8192 bits"},
		"leaf that is long":             {leaf(make([]byte, maxCertificateBytes+1)), "more than 16384 bytes"},
		"timestamp":                     {stamp(stampBy(t, small)), fine},
		"timestamp, large key":          {stamp(stampBy(t, large)), "more than 8192 bits"},
		"timestamp that is long":        {stamp(make([]byte, maxTimestampBytes+1)), "more than 16384 bytes"},
		"timestamp that is none":        {stamp([]byte("now")), fine}, // Left to those who read it.
		"timestamp, nested":             {stamp(nested(maxTimestampBytes / 2)), fine},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := boundMaterial(tt.material)
			if (err == nil) != (tt.says == fine) || (err != nil && !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("expected an error that says %q, found %v", tt.says, err)
			}
		})
	}
}

// nested are so many sequences without a length in one another, which the
// parser of timestamps follows by calling itself.
func nested(depth int) []byte { return bytes.Repeat([]byte{0x30, 0x80}, depth) }

// In Cosign's format the same bounds hold.
func TestBoundAnnotations(t *testing.T) {
	large := immodest(t, maxRSABits+1)
	text := func(value any) json.RawMessage {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		inner, err := json.Marshal(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		return inner
	}
	log := func(body []byte) json.RawMessage {
		return text(map[string]any{"SignedEntryTimestamp": []byte("x"), "Payload": map[string]any{"body": body, "integratedTime": 1, "logIndex": 1, "logID": "00"}})
	}
	for name, tt := range map[string]struct {
		key   string
		value json.RawMessage
		says  string
	}{
		"entry, large key":     {"dev.sigstore.cosign/bundle", log(bodyOf(t, "hashedrekord", "0.0.1", pemOf(t, large))), "more than 8192 bits"},
		"entry that is long":   {"dev.sigstore.cosign/bundle", log(bytes.Repeat([]byte(" "), maxEntryBytes+1)), "more than 32768 bytes"},
		"entry of dsse":        {"dev.sigstore.cosign/bundle", log(bodyOf(t, "dsse", "0.0.1", nil)), "not an entry of the kind hashedrekord 0.0.1"},
		"entry of Rekor v2":    {"dev.sigstore.cosign/bundle", log(bodyOf(t, "hashedrekord", "0.0.2", nil)), "not an entry of the kind hashedrekord 0.0.1"},
		"body that is none":    {"dev.sigstore.cosign/bundle", text(map[string]any{"Payload": map[string]any{"body": 1}}), "not an entry of the kind"},
		"timestamp, large key": {"dev.sigstore.cosign/rfc3161timestamp", text(map[string]any{"SignedRFC3161Timestamp": stampBy(t, large)}), "more than 8192 bits"},
		"timestamp, nested":    {"dev.sigstore.cosign/rfc3161timestamp", text(map[string]any{"SignedRFC3161Timestamp": nested(1 << 20)}), "more than 16384 bytes"},
		"empty timestamp":      {"dev.sigstore.cosign/rfc3161timestamp", text(map[string]any{}), "is not a timestamp"},
		"leaf, large key": {"dev.sigstore.cosign/certificate", func() json.RawMessage {
			raw, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(t, large).Raw})))
			return raw
		}(), "more than 8192 bits"},
		"leaf that is a number":      {"dev.sigstore.cosign/certificate", json.RawMessage("1"), "is not a string"},
		"entry that is a number":     {"dev.sigstore.cosign/bundle", json.RawMessage("1"), "is not a string"},
		"timestamp that is an array": {"dev.sigstore.cosign/rfc3161timestamp", json.RawMessage("[]"), "is not a string"},
		"chain that is an object":    {"dev.sigstore.cosign/chain", json.RawMessage("{}"), "is not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cosignCandidate{payload: []byte("{}"), signature: "AAAA", annotations: map[string]json.RawMessage{tt.key: tt.value}}
			_, err := c.entity(terms{root: &TrustedRoot{}, log: LogRequire})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("expected an error that says %q, found %v", tt.says, err)
			}
		})
	}
}
