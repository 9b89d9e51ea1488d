package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Bounds of a policy and of what it is applied to.
const (
	// MaxKeys bounds the keys of all authorities of one policy together.
	MaxKeys = 32
	// MaxAuthorities bounds the authorities of one policy.
	MaxAuthorities = 16
	// MaxSignatures bounds the signatures of one digest that are judged.
	// Beyond it nothing is judged: a partial judgement would depend on the
	// order in which a registry lists them.
	MaxSignatures = 128
)

// LogMode says what an authority requires of a transparency log.
type LogMode string

// LogIgnore takes signatures that no transparency log recorded, such as those
// made with "cosign sign --tlog-upload=false".
const LogIgnore LogMode = "Ignore"

// Policy is what is trusted, as plain data. The zero value trusts nobody and
// is refused.
type Policy struct {
	// Threshold is how many authorities must be satisfied, each by a signer of
	// its own; between 1 and the number of authorities.
	Threshold int
	// Authorities are those who may sign; 1 to MaxAuthorities, of distinct
	// names.
	Authorities []Authority
}

// Authority is one party that may sign.
type Authority struct {
	// Name is unique in the policy.
	Name string
	// Keys are the authority's public keys, any one of which satisfies it; at
	// least one, and at most MaxKeys in the whole policy.
	Keys []Key
	// TransparencyLog is LogIgnore.
	TransparencyLog LogMode
}

// PolicyError is a policy that cannot be applied. Nothing was judged.
type PolicyError struct {
	// Field is the path of the field in ModuleSource's spec.verify.
	Field string
	// Problem is what was expected and what was found.
	Problem string
}

func (e *PolicyError) Error() string { return e.Field + ": " + e.Problem }

// Validate returns a *PolicyError unless the policy can be applied.
func (p Policy) Validate() error {
	if n := len(p.Authorities); n == 0 || n > MaxAuthorities {
		return &PolicyError{"verify.authorities", fmt.Sprintf("expected 1 to %d authorities, found %d", MaxAuthorities, n)}
	}
	if p.Threshold < 1 || p.Threshold > len(p.Authorities) {
		return &PolicyError{"verify.threshold", fmt.Sprintf("expected 1 to %d, the number of authorities, found %d", len(p.Authorities), p.Threshold)}
	}
	keys := 0
	names := map[string]bool{}
	for i, a := range p.Authorities {
		field := fmt.Sprintf("verify.authorities[%d]", i)
		if err := a.validate(field); err != nil {
			return err
		}
		if names[a.Name] {
			return &PolicyError{field + ".name", fmt.Sprintf("expected a name of its own, found %q twice", a.Name)}
		}
		names[a.Name] = true
		keys += len(a.Keys)
	}
	if keys > MaxKeys {
		return &PolicyError{"verify.authorities", fmt.Sprintf("expected at most %d keys in all, found %d", MaxKeys, keys)}
	}
	return nil
}

func (a Authority) validate(field string) error {
	if a.Name == "" {
		return &PolicyError{field + ".name", "expected a name, found none"}
	}
	if len(a.Keys) == 0 {
		return &PolicyError{field + ".key", "expected at least one public key, found none"}
	}
	if a.TransparencyLog != LogIgnore {
		return &PolicyError{field + ".transparencyLog", fmt.Sprintf("expected %q, found %q", LogIgnore, a.TransparencyLog)}
	}
	for _, k := range a.Keys {
		if len(k.verifiers) == 0 {
			return &PolicyError{field + ".key", "expected a parsed public key, found an empty one"}
		}
	}
	return nil
}

// Hash identifies the policy and the trust material in it: "sha256:<hex>" over
// a canonical form, in which the order of keys does not count. Two policies of
// one hash accept the same digests with the same evidence.
func (p Policy) Hash() string {
	type authority struct {
		Name string   `json:"name"`
		Keys []string `json:"keys"`
		Log  LogMode  `json:"transparencyLog"`
	}
	form := struct {
		Version     int         `json:"version"`
		Threshold   int         `json:"threshold"`
		Authorities []authority `json:"authorities"`
	}{Version: 1, Threshold: p.Threshold}
	for _, a := range p.Authorities {
		form.Authorities = append(form.Authorities, authority{a.Name, a.fingerprints(), a.TransparencyLog})
	}
	raw, err := json.Marshal(form)
	if err != nil {
		panic("verify: strings and integers always marshal: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// fingerprints are those of the authority's keys, sorted, each once.
func (a Authority) fingerprints() []string {
	all := make([]string, 0, len(a.Keys))
	for _, k := range a.Keys {
		all = append(all, k.fingerprint)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
