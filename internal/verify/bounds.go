package verify

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/digitorus/pkcs7"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
)

// Bounds of what one signature may carry around it. They stand before the
// libraries, which parse and verify much of it under keys that are in it, and
// with parsers that call themselves: a few times what the real ones have.
const (
	// maxChain bounds the certificates in a signature's chain.
	maxChain = 10
	// maxEntries bounds the log entries and the timestamps of one signature.
	maxEntries = 8
	// maxCertificateBytes bounds a certificate, in DER; 1 KiB is usual.
	maxCertificateBytes = 16 << 10
	// maxEntryBytes bounds the body of a log entry; 4 KiB is usual.
	maxEntryBytes = 32 << 10
	// maxProofHashes bounds an inclusion proof, in hashes, and maxCheckpointBytes
	// what is signed with it.
	maxProofHashes, maxCheckpointBytes = 64, 16 << 10
	// maxTimestampBytes bounds an RFC 3161 timestamp; 1 to 6 KiB are usual.
	maxTimestampBytes = 16 << 10
	// maxRSABits bounds the RSA keys that anything is verified with. Those that
	// a policy may name have at most 4096.
	maxRSABits = 8192
)

// boundMaterial bounds what a bundle has beside the signature.
func boundMaterial(m *protobundle.VerificationMaterial) error {
	chain := m.GetX509CertificateChain().GetCertificates()
	if len(chain) > maxChain {
		return fmt.Errorf("its certificate chain has more than %d certificates", maxChain)
	}
	if leaf := m.GetCertificate(); leaf != nil {
		chain = append(chain, leaf)
	}
	for _, c := range chain {
		if err := boundCertificate(c.GetRawBytes()); err != nil {
			return err
		}
	}
	entries, stamps := m.GetTlogEntries(), m.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(entries) > maxEntries || len(stamps) > maxEntries {
		return fmt.Errorf("it carries more than %d log entries or timestamps", maxEntries)
	}
	for _, e := range entries {
		proof := e.GetInclusionProof()
		if len(proof.GetHashes()) > maxProofHashes || len(proof.GetCheckpoint().GetEnvelope()) > maxCheckpointBytes {
			return fmt.Errorf("the inclusion proof of its log entry is too long")
		}
		if err := boundEntry(e.GetCanonicalizedBody()); err != nil {
			return err
		}
	}
	for _, s := range stamps {
		if err := boundTimestamp(s.GetSignedTimestamp()); err != nil {
			return err
		}
	}
	return nil
}

// boundCertificate bounds a certificate in DER. What is none is left to those
// who read it.
func boundCertificate(der []byte) error {
	if len(der) > maxCertificateBytes {
		return fmt.Errorf("its certificate has more than %d bytes", maxCertificateBytes)
	}
	if c, err := x509.ParseCertificate(der); err == nil && !modest(c.PublicKey) {
		return errImmodest
	}
	return nil
}

var errImmodest = fmt.Errorf("it carries an RSA key of more than %d bits", maxRSABits)

// modest reports whether verifying with a key takes little time.
func modest(public any) bool {
	k, ok := public.(*rsa.PublicKey)
	return !ok || k.N.BitLen() <= maxRSABits
}

// entryKinds are the kinds of log entry that record signatures.
var entryKinds = []string{"hashedrekord 0.0.1", "hashedrekord 0.0.2", "dsse 0.0.1", "intoto 0.0.2"}

// boundEntry bounds the body of a log entry. Rekor's library verifies the
// signature in it under the key in it as soon as it reads one.
func boundEntry(body []byte) error {
	if len(body) > maxEntryBytes {
		return fmt.Errorf("the body of its log entry has more than %d bytes", maxEntryBytes)
	}
	var entry map[string]json.RawMessage
	var kind, version string
	if json.Unmarshal(body, &entry) != nil || json.Unmarshal(entry["kind"], &kind) != nil || json.Unmarshal(entry["apiVersion"], &version) != nil {
		return fmt.Errorf("the body of its log entry cannot be read")
	}
	if !slices.Contains(entryKinds, kind+" "+version) {
		return fmt.Errorf("its log entry is of a kind that does not record signatures")
	}
	return boundTexts(entry["spec"])
}

// boundTexts looks at every text in a log entry, wherever it stands and however
// its field is spelt: the libraries have readings of their own of what counts.
// At most one text may be a key, and not an immodest one; and there are no
// envelopes to be verified with what a log does not keep.
func boundTexts(spec json.RawMessage) error {
	decoder := json.NewDecoder(bytes.NewReader(spec))
	keys := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the body of its log entry cannot be read")
		}
		text, ok := token.(string)
		switch {
		case !ok:
			continue
		case strings.EqualFold(text, "proposedContent"):
			return fmt.Errorf("its log entry holds what a log does not keep")
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !bytes.Contains(raw, []byte("-----BEGIN ")) {
			continue
		}
		if keys++; keys > 1 || bytes.Count(raw, []byte("-----BEGIN ")) > 1 {
			return fmt.Errorf("its log entry has several keys")
		}
		if !modestPEM(raw) {
			return errImmodest
		}
	}
}

// modestPEM is modest for each key and certificate in PEM. What is neither is
// left to those who read it.
func modestPEM(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && !modest(c.PublicKey) {
			return false
		}
		if k, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil && !modest(k) {
			return false
		}
		if k, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil && !modest(k) {
			return false
		}
	}
	return true
}

// boundTimestamp bounds an RFC 3161 timestamp response, and the keys of the
// certificates in it, under which its signature is verified before anybody asks
// whose they are.
func boundTimestamp(response []byte) error {
	if len(response) > maxTimestampBytes {
		return fmt.Errorf("its timestamp has more than %d bytes", maxTimestampBytes)
	}
	for _, c := range certificatesIn(response) {
		if !modest(c.PublicKey) {
			return errImmodest
		}
	}
	return nil
}

// certificatesIn are the certificates in a timestamp response. One that cannot
// be read has none, as those who verify it say.
func certificatesIn(response []byte) []*x509.Certificate {
	var parts struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(response, &parts); err != nil || len(parts.Token.FullBytes) == 0 {
		return nil
	}
	signed, err := pkcs7.Parse(parts.Token.FullBytes)
	if err != nil {
		return nil
	}
	return signed.Certificates
}
