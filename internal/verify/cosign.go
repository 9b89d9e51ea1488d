package verify

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// cosignCandidate is a signature in the format of Cosign v2, read but not
// judged.
type cosignCandidate struct {
	payload     []byte
	signature   string // base64
	annotations map[string]json.RawMessage
}

func readCosign(s Signature) (candidate, error) {
	c := cosignCandidate{payload: s.Payload}
	if err := json.Unmarshal(s.Annotations, &c.annotations); err != nil {
		return nil, fmt.Errorf("its annotations are not a JSON object")
	}
	encoded, found, err := c.annotation(static.SignatureAnnotationKey)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("its annotation %s is missing", static.SignatureAnnotationKey)
	}
	if b, err := base64.StdEncoding.DecodeString(encoded); err != nil || len(b) == 0 {
		return nil, fmt.Errorf("its annotation %s is not base64", static.SignatureAnnotationKey)
	}
	c.signature = encoded
	return c, nil
}

// annotation returns the text of an annotation. Its type is looked at here,
// because Cosign's library panics at some that are not strings.
func (c cosignCandidate) annotation(key string) (text string, found bool, err error) {
	raw, ok := c.annotations[key]
	if !ok {
		return "", false, nil
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", true, fmt.Errorf("its annotation %s is not a string", key)
	}
	return text, true, nil
}

// entity is the signature with what its annotations put around it, as far as
// the terms look at it: under a key the certificate is left out, which would
// prove nothing, and under a key with the log ignored all of it.
func (c cosignCandidate) entity(t terms) (sigstore.SignedEntity, error) {
	raw, err := base64.StdEncoding.DecodeString(c.signature)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(c.payload)
	e := &cosignEntity{signature: bundle.NewMessageSignature(sum[:], "SHA2_256", raw), by: &bundle.PublicKey{}}
	if t.root == nil {
		return e, nil
	}
	if t.key == nil {
		if err := c.readCertificate(e); err != nil {
			return nil, err
		}
	}
	if err := c.readTimestamp(e); err != nil {
		return nil, err
	}
	if t.log == LogRequire {
		return e, c.readLog(e)
	}
	return e, nil
}

// readCertificate reads the certificate, and counts its chain. The chain itself
// is not used: what leads from the certificate to its root is in the trusted
// root.
func (c cosignCandidate) readCertificate(e *cosignEntity) error {
	chain, _, err := c.annotation(static.ChainAnnotationKey)
	if err != nil {
		return err
	}
	if strings.Count(chain, "-----BEGIN ") > maxChain {
		return fmt.Errorf("its certificate chain has more than %d certificates", maxChain)
	}
	text, found, err := c.annotation(static.CertificateAnnotationKey)
	if err != nil || !found {
		return err
	}
	malformed := fmt.Errorf("its annotation %s is not one certificate in PEM", static.CertificateAnnotationKey)
	if len(text) > 2*maxCertificateBytes || strings.Count(text, "-----BEGIN ") != 1 {
		return malformed
	}
	certificates, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(text))
	if err != nil || len(certificates) != 1 {
		return malformed
	}
	if err := boundCertificate(certificates[0].Raw); err != nil {
		return err
	}
	withoutSubjectUnhandled(certificates[0])
	e.certificate, e.certificatePEM, e.by = certificates[0], []byte(text), bundle.NewCertificate(certificates[0])
	return nil
}

// readTimestamp reads the RFC 3161 timestamp.
func (c cosignCandidate) readTimestamp(e *cosignEntity) error {
	text, found, err := c.annotation(static.RFC3161TimestampAnnotationKey)
	if err != nil || !found {
		return err
	}
	e.timestamp = new(cosignbundle.RFC3161Timestamp)
	if err := json.Unmarshal([]byte(text), e.timestamp); err != nil || len(e.timestamp.SignedRFC3161Timestamp) == 0 {
		return fmt.Errorf("its annotation %s is not a timestamp", static.RFC3161TimestampAnnotationKey)
	}
	return boundTimestamp(e.timestamp.SignedRFC3161Timestamp)
}

// readLog reads the log entry. Cosign records signatures as hashedrekord 0.0.1
// and nothing else, and its library panics at a body that is not a string.
func (c cosignCandidate) readLog(e *cosignEntity) error {
	text, found, err := c.annotation(static.BundleAnnotationKey)
	if err != nil || !found {
		return err
	}
	malformed := fmt.Errorf("its annotation %s is not an entry of the kind hashedrekord 0.0.1", static.BundleAnnotationKey)
	log := new(cosignbundle.RekorBundle)
	if err := json.Unmarshal([]byte(text), log); err != nil {
		return malformed
	}
	encoded, isString := log.Payload.Body.(string)
	body, err := base64.StdEncoding.DecodeString(encoded)
	if !isString || err != nil {
		return malformed
	}
	if err := boundEntry(body); err != nil {
		return err
	}
	var head struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &head); err != nil || head.Kind != "hashedrekord" || head.APIVersion != "0.0.1" {
		return malformed
	}
	id, err := hex.DecodeString(log.Payload.LogID)
	if err != nil {
		return malformed
	}
	entry, err := tlog.ParseTransparencyLogEntry(&protorekor.TransparencyLogEntry{
		LogIndex: log.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, IntegratedTime: log.Payload.IntegratedTime,
		KindVersion:       &protorekor.KindVersion{Kind: head.Kind, Version: head.APIVersion},
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: log.SignedEntryTimestamp},
		CanonicalizedBody: body,
	})
	if err != nil {
		return malformed
	}
	e.log, e.entries = log, []*tlog.Entry{entry}
	return nil
}

// cosignEntity is a signature in Cosign's format in the form that sigstore-go's
// steps take: a message signature over the payload.
type cosignEntity struct {
	signature      *bundle.MessageSignature
	by             sigstore.VerificationContent
	certificate    *x509.Certificate
	certificatePEM []byte
	log            *cosignbundle.RekorBundle
	entries        []*tlog.Entry
	timestamp      *cosignbundle.RFC3161Timestamp
}

func (e *cosignEntity) HasInclusionPromise() bool                                  { return len(e.entries) > 0 }
func (e *cosignEntity) HasInclusionProof() bool                                    { return false }
func (e *cosignEntity) SignatureContent() (sigstore.SignatureContent, error)       { return e.signature, nil }
func (e *cosignEntity) TlogEntries() ([]*tlog.Entry, error)                        { return e.entries, nil }
func (e *cosignEntity) VerificationContent() (sigstore.VerificationContent, error) { return e.by, nil }
func (e *cosignEntity) Version() (string, error)                                   { return "v0.1", nil }

func (e *cosignEntity) Timestamps() ([][]byte, error) {
	if e.timestamp == nil {
		return nil, nil
	}
	return [][]byte{e.timestamp.SignedRFC3161Timestamp}, nil
}

// judge asks Cosign's own library for its verdict on the whole signature.
func (c cosignCandidate) judge(t terms, p proof, digest v1.Hash) result {
	signed, err := c.forCosign(t)
	if err != nil {
		return wrongKey
	}
	claimed := wrongKey
	options := &cosign.CheckOpts{
		SigVerifier:     t.key,
		TrustedMaterial: p.material,
		IgnoreTlog:      t.log != LogRequire,
		// Cosign panics at a timestamp that does not verify, so it is shown one
		// only where it has; and compares a certificate without any time with
		// the clock, so it is asked only where there is one (see establish).
		UseSignedTimestamps: len(p.stamps) > 0,
		IgnoreSCT:           len(p.material.CTLogs()) == 0,
		Offline:             true,
		// Cosign calls it only after the signature over the payload verified,
		// which tells a wrong key from a wrong digest.
		ClaimVerifier: func(s oci.Signature, h v1.Hash, a map[string]any) error {
			claimed = wrongDigest
			if err := requireCosignType(s); err != nil {
				return err
			}
			if err := cosign.SimpleClaimVerifier(s, h, a); err != nil {
				return err
			}
			claimed = accepted
			return nil
		},
	}
	// The context ends nothing: offline, with its trust given, Cosign asks nobody.
	_, err = cosign.VerifyImageSignature(context.Background(), signed, digest, options)
	if err != nil && claimed == accepted {
		return wrongKey // It refused what came after the claims.
	}
	return claimed
}

// forCosign is the signature as Cosign's library takes it, with what the terms
// look at and nothing else.
func (c cosignCandidate) forCosign(t terms) (oci.Signature, error) {
	made, err := c.entity(t)
	if err != nil {
		return nil, err
	}
	e, ok := made.(*cosignEntity)
	if !ok {
		return nil, fmt.Errorf("it cannot be read")
	}
	var options []static.Option
	if e.certificate != nil {
		options = append(options, static.WithCertChain(e.certificatePEM, nil))
	}
	if e.log != nil {
		options = append(options, static.WithBundle(e.log))
	}
	if e.timestamp != nil {
		options = append(options, static.WithRFC3161Timestamp(e.timestamp))
	}
	return static.NewSignature(c.payload, c.signature, options...)
}

// requireCosignType refuses a simple signing payload that was signed for
// another purpose, such as GPG's "atomic container signature", which Cosign's
// claim verifier does not look at.
func requireCosignType(s oci.Signature) error {
	raw, err := s.Payload()
	if err != nil {
		return err
	}
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if p.Critical.Type != payload.CosignSignatureType {
		return fmt.Errorf("the payload is not of type %q", payload.CosignSignatureType)
	}
	return nil
}
