package verify

import "github.com/sigstore/sigstore-go/pkg/root"

// FailingRoot is a trusted root with a defect that a signature can reach: the
// library panics where it looks for logs of certificates, or for timestamp
// authorities.
func FailingRoot(r *TrustedRoot) *TrustedRoot {
	return &TrustedRoot{material: failingMaterial{r.material}, hash: r.hash + ", failing"}
}

type failingMaterial struct{ root.TrustedMaterial }

func (failingMaterial) CTLogs() map[string]*root.TransparencyLog { panic("in a library") }

func (failingMaterial) TimestampingAuthorities() []root.TimestampingAuthority {
	panic("in a library")
}
