package sigstore

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"time"
)

// CertificateOptions are what a certificate has beside its identity. The zero
// value makes a right certificate that is valid now.
type CertificateOptions struct {
	// NotBefore and NotAfter default to one minute ago and to ten minutes after
	// NotBefore.
	NotBefore, NotAfter time.Time

	// NoSCT leaves out the timestamp of the certificate transparency log,
	// BrokenSCT spoils its signature, SCTBy takes it from the log of another
	// instance, and SCTTime, which defaults to NotBefore, is when it was made.
	NoSCT     bool
	BrokenSCT bool
	SCTBy     *Sigstore
	SCTTime   time.Time

	// ExtraSubjects are further subject alternative names, NoSubject leaves out
	// all of them.
	ExtraSubjects []string
	NoSubject     bool

	// NoIssuer leaves out both extensions with the issuer. IssuerV1 and
	// IssuerV2 replace it in one: with the empty string, that one is left out.
	NoIssuer bool
	IssuerV1 *string
	IssuerV2 *string

	// NoCodeSigning makes a certificate for TLS servers instead.
	NoCodeSigning bool

	// RawExtensions replace those with the same OID, or are added.
	RawExtensions []pkix.Extension

	// Key defaults to a new P-256 key.
	Key crypto.Signer

	// Edit changes anything else before the certificate is signed.
	Edit func(*x509.Certificate)
}

// Issue makes a certificate as Fulcio does, and returns who signs with it.
func (s *Sigstore) Issue(identity Identity, o CertificateOptions) (*Signer, error) {
	key, err := o.key()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	certificate, chain, err := s.Certify(identity, key.Public(), o)
	if err != nil {
		return nil, err
	}
	return certificateSigner(key, certificate, chain)
}

// Certify makes a certificate for a public key, whoever has the private one, and
// returns it with the intermediate certificate and the root.
func (s *Sigstore) Certify(identity Identity, public crypto.PublicKey, o CertificateOptions) (*x509.Certificate, []*x509.Certificate, error) {
	template, err := o.template(identity, public)
	if err != nil {
		return nil, nil, fmt.Errorf("describing the certificate: %w", err)
	}
	if o.Edit != nil {
		o.Edit(template)
	}
	// The first certificate takes the place of RFC 6962's precertificate: the
	// log signs what is in it, and the second one adds the log's signature.
	certificate, err := s.ca.issue(template, public)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing the certificate: %w", err)
	}
	if !o.NoSCT {
		list, err := s.timestamps(certificate, o)
		if err != nil {
			return nil, nil, fmt.Errorf("logging the certificate: %w", err)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, list)
		if certificate, err = s.ca.issue(template, public); err != nil {
			return nil, nil, fmt.Errorf("issuing the certificate: %w", err)
		}
	}
	return certificate, s.ca.chain(), nil
}

func (o CertificateOptions) key() (crypto.Signer, error) {
	if o.Key != nil {
		return o.Key, nil
	}
	return newKey()
}

// validity applies the defaults.
func (o CertificateOptions) validity() Period {
	valid := Period{Start: o.NotBefore, End: o.NotAfter}
	if valid.Start.IsZero() {
		valid.Start = time.Now().Add(-time.Minute)
	}
	if valid.End.IsZero() {
		valid.End = valid.Start.Add(10 * time.Minute)
	}
	return valid
}

// issuers are the values of the two extensions.
func (o CertificateOptions) issuers(issuer string) (v1, v2 string) {
	if o.NoIssuer {
		return "", ""
	}
	v1, v2 = issuer, issuer
	if o.IssuerV1 != nil {
		v1 = *o.IssuerV1
	}
	if o.IssuerV2 != nil {
		v2 = *o.IssuerV2
	}
	return v1, v2
}

// template describes the certificate, all but the list of timestamps.
func (o CertificateOptions) template(identity Identity, public crypto.PublicKey) (*x509.Certificate, error) {
	extensions, err := o.extensions(identity)
	if err != nil {
		return nil, err
	}
	keyID, err := keyIdentifier(public)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	valid := o.validity()
	usage := x509.ExtKeyUsageCodeSigning
	if o.NoCodeSigning {
		usage = x509.ExtKeyUsageServerAuth
	}
	return &x509.Certificate{
		SerialNumber:    serial,
		NotBefore:       valid.Start,
		NotAfter:        valid.End,
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{usage},
		SubjectKeyId:    keyID,
		ExtraExtensions: extensions,
	}, nil
}

// extensions are the subjects and the claims.
func (o CertificateOptions) extensions(identity Identity) ([]pkix.Extension, error) {
	var all []pkix.Extension
	if !o.NoSubject {
		names, err := alternativeNames(append([]string{identity.Subject}, o.ExtraSubjects...))
		if err != nil {
			return nil, err
		}
		all = append(all, names)
	}
	claims, err := identity.claims(o.issuers(identity.Issuer))
	if err != nil {
		return nil, err
	}
	all = append(all, claims...)
	for _, raw := range o.RawExtensions {
		at := slices.IndexFunc(all, func(e pkix.Extension) bool { return e.Id.Equal(raw.Id) })
		if at >= 0 {
			all[at] = raw
			continue
		}
		all = append(all, raw)
	}
	return all, nil
}
