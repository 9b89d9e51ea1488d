package sigstore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/digitorus/timestamp"
)

// timestampPolicy is the policy under which Sigstore's authority works.
var timestampPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}

var (
	extKeyUsageOID  = asn1.ObjectIdentifier{2, 5, 29, 37}
	timeStampingOID = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

func (s *Sigstore) makeTSA() (err error) {
	s.tsa, err = newAuthority("tsa", x509.ExtKeyUsageTimeStamping, s.lifetime())
	if err != nil {
		return err
	}
	s.tsaKey, err = newKey()
	if err != nil {
		return err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{timeStampingOID})
	if err != nil {
		return err
	}
	valid := s.lifetime()
	s.tsaLeaf, err = s.tsa.issue(&x509.Certificate{
		Subject:   pkix.Name{Organization: []string{organization}, CommonName: "tsa"},
		NotBefore: valid.Start,
		NotAfter:  valid.End,
		KeyUsage:  x509.KeyUsageDigitalSignature,
		// RFC 3161 2.3: "The corresponding certificate MUST contain only one
		// instance of the extended key usage field extension […]. This
		// extension MUST be critical."
		ExtraExtensions: []pkix.Extension{{Id: extKeyUsageOID, Critical: true, Value: usage}},
	}, s.tsaKey.Public())
	return err
}

// Timestamp is the authority's response for a message, which is the raw
// signature where a signature is to be timestamped. With its own certificate in
// it, it is as the cosign command line v2 asks for it, and without as others do.
func (s *Sigstore) Timestamp(message []byte, at time.Time, withCertificate bool) ([]byte, error) {
	digest := sha256.Sum256(message)
	return s.AnswerTimestamp(&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Certificates: withCertificate}, at)
}

// AnswerTimestamp is the authority's response to a request.
func (s *Sigstore) AnswerTimestamp(request *timestamp.Request, at time.Time) ([]byte, error) {
	response, err := (&timestamp.Timestamp{
		HashAlgorithm:     request.HashAlgorithm,
		HashedMessage:     request.HashedMessage,
		Nonce:             request.Nonce,
		Time:              at.UTC(),
		Policy:            timestampPolicy,
		AddTSACertificate: request.Certificates,
	}).CreateResponseWithOpts(s.tsaLeaf, s.tsaKey, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("making a timestamp: %w", err)
	}
	return response, nil
}
