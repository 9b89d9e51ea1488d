package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
)

// organization is in the names of the authorities.
const organization = "sigstore.example"

// authority is a root certificate and an intermediate one that issues.
type authority struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	key          *ecdsa.PrivateKey // the intermediate's
}

// newAuthority makes an authority whose certificates are for one usage.
func newAuthority(name string, usage x509.ExtKeyUsage, valid Period) (authority, error) {
	rootKey, err := newKey()
	if err != nil {
		return authority{}, err
	}
	rootTemplate := authorityTemplate(name+" root", valid)
	rootTemplate.MaxPathLen = 1
	if rootTemplate.SubjectKeyId, err = keyIdentifier(rootKey.Public()); err != nil {
		return authority{}, err
	}
	rootTemplate.AuthorityKeyId = rootTemplate.SubjectKeyId
	root, err := sign(rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return authority{}, err
	}
	key, err := newKey()
	if err != nil {
		return authority{}, err
	}
	template := authorityTemplate(name+" intermediate", valid)
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.MaxPathLenZero = true
	intermediate, err := sign(template, root, key.Public(), rootKey)
	if err != nil {
		return authority{}, err
	}
	return authority{root: root, intermediate: intermediate, key: key}, nil
}

// chain is what stands above the certificates that the authority issues.
func (a authority) chain() []*x509.Certificate {
	return []*x509.Certificate{a.intermediate, a.root}
}

// issue makes a certificate that the intermediate signs.
func (a authority) issue(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	return sign(template, a.intermediate, public, a.key)
}

func authorityTemplate(name string, valid Period) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:             valid.Start,
		NotAfter:              valid.End,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign makes a certificate. A template without a serial number gets one.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		serial, err := newSerial()
		if err != nil {
			return nil, err
		}
		template.SerialNumber = serial
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyIdentifier identifies a key in certificates.
//
// RFC 5280 4.2.1.2: "Other methods of generating unique numbers are also
// acceptable."
func keyIdentifier(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:20], nil
}

// newSerial makes a random serial number.
//
// RFC 5280 4.1.2.2: "Conforming CAs MUST NOT use serialNumber values longer
// than 20 octets", and "The serial number MUST be a positive integer".
func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
}

func (s *Sigstore) makeCA() (err error) {
	s.ca, err = newAuthority("fulcio", x509.ExtKeyUsageCodeSigning, s.lifetime())
	return err
}
