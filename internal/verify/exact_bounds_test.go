package verify

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/assay-dev/assay/test/fixtures"
)

// Each bound of what a bundle carries, to one, in numbers: a constant that is
// changed is a promise that is.
func TestBoundsOfMaterialAreExact(t *testing.T) {
	body := []byte(`{"kind":"dsse","apiVersion":"0.0.1","spec":{}}`)
	chain := func(n, size int) *protobundle.VerificationMaterial {
		all := make([]*protocommon.X509Certificate, n)
		for i := range all {
			all[i] = &protocommon.X509Certificate{RawBytes: make([]byte, size)}
		}
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{
			X509CertificateChain: &protocommon.X509CertificateChain{Certificates: all},
		}}
	}
	entries := func(n, size, hashes, checkpoint int) *protobundle.VerificationMaterial {
		all := make([]*protorekor.TransparencyLogEntry, n)
		for i := range all {
			all[i] = &protorekor.TransparencyLogEntry{
				CanonicalizedBody: append(bytes.Clone(body), bytes.Repeat([]byte(" "), size-len(body))...),
				InclusionProof:    &protorekor.InclusionProof{Hashes: make([][]byte, hashes), Checkpoint: &protorekor.Checkpoint{Envelope: strings.Repeat("x", checkpoint)}},
			}
		}
		return &protobundle.VerificationMaterial{TlogEntries: all}
	}
	stamps := func(n, size int) *protobundle.VerificationMaterial {
		all := make([]*protocommon.RFC3161SignedTimestamp, n)
		for i := range all {
			all[i] = &protocommon.RFC3161SignedTimestamp{SignedTimestamp: make([]byte, size)}
		}
		return &protobundle.VerificationMaterial{TimestampVerificationData: &protobundle.TimestampVerificationData{Rfc3161Timestamps: all}}
	}
	for name, tt := range map[string]struct {
		most, more *protobundle.VerificationMaterial
	}{
		"certificates in a chain": {chain(10, 1), chain(11, 1)},
		"bytes of a certificate":  {chain(1, 16384), chain(1, 16385)},
		"log entries":             {entries(8, 100, 1, 1), entries(9, 100, 1, 1)},
		"bytes of a log entry":    {entries(1, 32768, 1, 1), entries(1, 32769, 1, 1)},
		"hashes of a proof":       {entries(1, 100, 64, 1), entries(1, 100, 65, 1)},
		"bytes of a checkpoint":   {entries(1, 100, 1, 16384), entries(1, 100, 1, 16385)},
		"timestamps":              {stamps(8, 1), stamps(9, 1)},
		"bytes of a timestamp":    {stamps(1, 16384), stamps(1, 16385)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := boundMaterial(tt.most); err != nil {
				t.Error(err)
			}
			if err := boundMaterial(tt.more); err == nil {
				t.Error("expected an error for one more")
			}
		})
	}
}

// The certificate and the chain of a signature in Cosign's format are bounded
// before anything reads them: exactly ten in a chain, and of the certificate no
// text beside it without end.
func TestCertificateAnnotationsAreBounded(t *testing.T) {
	entity := func(annotations map[string]string) error {
		raw := map[string]json.RawMessage{}
		for key, text := range annotations {
			encoded, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			raw[key] = encoded
		}
		_, err := cosignCandidate{payload: []byte("{}"), signature: "AAAA", annotations: raw}.entity(terms{root: &TrustedRoot{}, log: LogIgnore})
		return err
	}
	const chain, leaf = "dev.sigstore.cosign/chain", "dev.sigstore.cosign/certificate"
	if err := entity(map[string]string{chain: strings.Repeat("-----BEGIN CERTIFICATE-----\n", 10)}); err != nil {
		t.Error(err)
	}
	if err := entity(map[string]string{chain: strings.Repeat("-----BEGIN CERTIFICATE-----\n", 11)}); err == nil || !strings.Contains(err.Error(), "more than 10 certificates") {
		t.Error(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(t, immodest(t, 2048)).Raw}))
	const most = 32 << 10
	if err := entity(map[string]string{leaf: text + strings.Repeat("\n", most-len(text))}); err != nil {
		t.Error(err)
	}
	if err := entity(map[string]string{leaf: text + strings.Repeat("\n", most-len(text)+1)}); err == nil || !strings.Contains(err.Error(), "not one certificate") {
		t.Error(err)
	}
}

// A root is of at most 1 MiB.
func TestTrustedRootOfExactlyTheBound(t *testing.T) {
	raw, err := fixtures.File("trust/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	padded := append(bytes.Clone(raw), bytes.Repeat([]byte(" "), 1<<20-len(raw))...)
	if _, err := ParseTrustedRoot(padded); err != nil {
		t.Error(err)
	}
	if _, err := ParseTrustedRoot(append(padded, ' ')); err == nil || !strings.Contains(err.Error(), "at most 1048576 bytes, found 1048577") {
		t.Error(err)
	}
}
