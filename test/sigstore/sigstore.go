package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Lifetime is how long before and after New the certificates of the
// authorities are valid: ten years.
const Lifetime = 10 * 365 * 24 * time.Hour

// Sigstore is one instance. Two of them have the same names and different keys,
// so that nothing but cryptography tells them apart. It is safe for concurrent
// use.
type Sigstore struct {
	created     time.Time
	ca          authority
	ctlog       *ecdsa.PrivateKey
	rekor1      *rekor1
	rekor2      *rekor2
	tsa         authority
	tsaLeaf     *x509.Certificate
	tsaKey      *ecdsa.PrivateKey
	trustedRoot []byte
}

// New makes an instance with fresh keys.
func New() (*Sigstore, error) {
	s := &Sigstore{created: time.Now().UTC()}
	for _, step := range []struct {
		part  string
		build func() error
	}{
		{"certificate authority", s.makeCA},
		{"certificate transparency log", s.makeCTLog},
		{"Rekor v1", s.makeRekor1},
		{"Rekor v2", s.makeRekor2},
		{"timestamp authority", s.makeTSA},
		{"trusted root", s.makeTrustedRoot},
	} {
		if err := step.build(); err != nil {
			return nil, fmt.Errorf("making the %s: %w", step.part, err)
		}
	}
	return s, nil
}

// Roots names this instance for every part of a trusted root.
func (s *Sigstore) Roots() Roots {
	return Roots{CA: s, CTLog: s, Rekor1: s, Rekor2: s, TSA: s}
}

// TrustedRoot is the trusted_root.json with every part of this instance.
func (s *Sigstore) TrustedRoot() []byte { return slices.Clone(s.trustedRoot) }

func (s *Sigstore) makeTrustedRoot() (err error) {
	s.trustedRoot, err = TrustedRoot(s.Roots())
	return err
}

// lifetime is when the certificates of the authorities are valid.
func (s *Sigstore) lifetime() Period {
	return Period{Start: s.created.Add(-Lifetime), End: s.created.Add(Lifetime)}
}

// newKey makes a key of the kind that all of Sigstore's servers can use.
func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
