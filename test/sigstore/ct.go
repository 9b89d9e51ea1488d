package sigstore

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
)

// sctListOID is RFC 6962's extension with the timestamps of the logs.
var sctListOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

func (s *Sigstore) makeCTLog() (err error) {
	s.ctlog, err = newKey()
	return err
}

// timestamps is the extension that says that the certificate is in the log.
func (s *Sigstore) timestamps(certificate *x509.Certificate, o CertificateOptions) (pkix.Extension, error) {
	log := s
	if o.SCTBy != nil {
		log = o.SCTBy
	}
	at := o.SCTTime
	if at.IsZero() {
		at = certificate.NotBefore
	}
	sct, err := log.sct(certificate.RawTBSCertificate, s.ca.intermediate, at)
	if err != nil {
		return pkix.Extension{}, err
	}
	if o.BrokenSCT {
		sct.Signature.Signature[len(sct.Signature.Signature)-1] ^= 1
	}
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{sct})
	if err != nil {
		return pkix.Extension{}, err
	}
	encoded, err := tls.Marshal(*list)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the list: %w", err)
	}
	value, err := asn1.Marshal(encoded)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the list: %w", err)
	}
	return pkix.Extension{Id: sctListOID, Value: value}, nil
}

// LogPrecertificate is the log's promise to hold a certificate that is still to
// be issued. The precertificate has what that one will have, and the poison
// extension of RFC 6962 instead of the promise.
func (s *Sigstore) LogPrecertificate(precertificate, issuer *x509.Certificate, at time.Time) (*ct.SignedCertificateTimestamp, error) {
	content, err := ctx509.RemoveCTPoison(precertificate.RawTBSCertificate)
	if err != nil {
		return nil, fmt.Errorf("reading the precertificate: %w", err)
	}
	return s.sct(content, issuer, at)
}

// sct is the log's promise to hold a certificate with this content.
//
// RFC 6962 3.2: "issuer_key_hash" is the SHA-256 hash of the issuer's public
// key, and "tbs_certificate" the certificate without signature, and without the
// extensions for the poison and for the list of timestamps.
func (s *Sigstore) sct(content []byte, issuer *x509.Certificate, at time.Time) (*ct.SignedCertificateTimestamp, error) {
	public, err := x509.MarshalPKIXPublicKey(s.ctlog.Public())
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1,
		LogID:      ct.LogID{KeyID: sha256.Sum256(public)},
		Timestamp:  uint64(at.UnixMilli()),
	}
	message, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version:  ct.V1,
		LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			EntryType: ct.PrecertLogEntryType,
			Timestamp: sct.Timestamp,
			PrecertEntry: &ct.PreCert{
				IssuerKeyHash:  sha256.Sum256(issuer.RawSubjectPublicKeyInfo),
				TBSCertificate: content,
			},
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding the certificate: %w", err)
	}
	hashed := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, s.ctlog, hashed[:])
	if err != nil {
		return nil, fmt.Errorf("signing the certificate: %w", err)
	}
	sct.Signature = ct.DigitallySigned{
		Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA},
		Signature: signature,
	}
	return &sct, nil
}
