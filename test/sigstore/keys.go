package sigstore

import (
	"crypto/x509"
	"errors"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Keys are the keys and certificates of an instance, in PEM, for programs that
// are to serve it: what those sign, its trusted root verifies.
type Keys struct {
	// CA is the private key of the first certificate of CAChain.
	CA, CAChain []byte

	// TSA is the private key of the first certificate of TSAChain.
	TSA, TSAChain []byte

	// Rekor2 is the private key of the log of the Rekor v2 kind, whose
	// checkpoints are to have the origin Rekor2Origin.
	Rekor2 []byte

	// CTLogPublic and Rekor1Public are the public keys of the two logs that are
	// served by calling LogPrecertificate and LogRekor1.
	CTLogPublic, Rekor1Public []byte
}

// Keys are the instance's.
func (s *Sigstore) Keys() (Keys, error) {
	var k Keys
	var errs []error
	set := func(to *[]byte, content []byte, err error) {
		*to = content
		errs = append(errs, err)
	}
	private := func(to *[]byte, key any) {
		content, err := cryptoutils.MarshalPrivateKeyToPEM(key)
		set(to, content, err)
	}
	public := func(to *[]byte, key any) {
		content, err := cryptoutils.MarshalPublicKeyToPEM(key)
		set(to, content, err)
	}
	chain := func(to *[]byte, certificates ...*x509.Certificate) {
		content, err := cryptoutils.MarshalCertificatesToPEM(certificates)
		set(to, content, err)
	}
	private(&k.CA, s.ca.key)
	chain(&k.CAChain, s.ca.chain()...)
	private(&k.TSA, s.tsaKey)
	chain(&k.TSAChain, append([]*x509.Certificate{s.tsaLeaf}, s.tsa.chain()...)...)
	private(&k.Rekor2, s.rekor2.key)
	public(&k.CTLogPublic, s.ctlog.Public())
	public(&k.Rekor1Public, s.rekor1.key.Public())
	return k, errors.Join(errs...)
}
