package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
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

const (
	// LogRequire takes signatures only that a log of the trusted root recorded.
	LogRequire LogMode = "Require"
	// LogIgnore does not look at log entries. It takes signatures that none
	// recorded, such as those made with "cosign sign --tlog-upload=false"; from
	// a certificate it takes them only with an RFC 3161 timestamp by an
	// authority of the trusted root, because a trusted time there always is.
	LogIgnore LogMode = "Ignore"
)

// Policy is what is trusted, as plain data. The zero value trusts nobody and
// is refused.
type Policy struct {
	// Threshold is how many authorities must be satisfied, each by a signer of
	// its own; between 1 and the number of authorities.
	Threshold int
	// Authorities are those who may sign; 1 to MaxAuthorities, of distinct
	// names.
	Authorities []Authority
	// DenyDigests are refused, whoever signed them: releases that were withdrawn.
	// Each is "sha256:<64 hexadecimal digits>", and there are at most
	// MaxDenyDigests; one may stand there twice.
	DenyDigests []string
}

// Authority is one party that may sign, with keys or with certificates.
type Authority struct {
	// Name is unique in the policy.
	Name string
	// Keys are the authority's public keys, any one of which satisfies it; at
	// least one where there are no Identities, and at most MaxKeys in the whole
	// policy.
	Keys []Key
	// Identities are whom the authority's certificates may name, any one of
	// which satisfies it; at least one where there are no Keys, and at most
	// MaxIdentities in the whole policy.
	Identities []Identity
	// TransparencyLog is LogRequire or LogIgnore.
	TransparencyLog LogMode
	// Root is the trusted root that logs, timestamps and certificates are
	// verified by. Needed, except for keys with LogIgnore, where it is not
	// looked at.
	Root *TrustedRoot
	// NotBefore and NotAfter are from when and until when its signatures count,
	// both inclusive and in whole seconds; zero for no bound. With one, those
	// signatures alone count for which a log of the root or a timestamp
	// authority of the root says when they were made, and all that they say lies
	// within. It is an answer to a key or an identity that was lost at a known
	// time: who has it can sign, log and stamp now, and not in the past. NotBefore
	// is no such answer: who holds a signature back can have it logged later.
	NotBefore, NotAfter time.Time
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
	if err := p.validateDenied(); err != nil {
		return err
	}
	keys, identities, size := 0, 0, 0
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
		identities += len(a.Identities)
		for _, i := range a.Identities {
			size += i.issuer.size + i.subject.size
		}
	}
	if size > 2*maxRegExpSize {
		return &PolicyError{"verify.authorities", "expected regular expressions that repeat less in all"}
	}
	if keys > MaxKeys {
		return &PolicyError{"verify.authorities", fmt.Sprintf("expected at most %d keys in all, found %d", MaxKeys, keys)}
	}
	if identities > MaxIdentities {
		return &PolicyError{"verify.authorities", fmt.Sprintf("expected at most %d identities in all, found %d", MaxIdentities, identities)}
	}
	return nil
}

func (a Authority) validate(field string) error {
	if a.Name == "" {
		return &PolicyError{field + ".name", "expected a name, found none"}
	}
	if len(a.Keys) > 0 && len(a.Identities) > 0 {
		return &PolicyError{field, "expected keys or identities, found both"}
	}
	if len(a.Keys) == 0 && len(a.Identities) == 0 {
		return &PolicyError{field + ".key", "expected at least one public key or identity, found none"}
	}
	for _, k := range a.Keys {
		if len(k.verifiers) == 0 {
			return &PolicyError{field + ".key", "expected a parsed public key, found an empty one"}
		}
	}
	for i, identity := range a.Identities {
		if identity.isZero() {
			return &PolicyError{fmt.Sprintf("%s.keyless.identities[%d]", field, i), "expected an issuer and a subject, found an empty identity"}
		}
	}
	if a.TransparencyLog != LogRequire && a.TransparencyLog != LogIgnore {
		return &PolicyError{field + ".transparencyLog", fmt.Sprintf("expected %q or %q, found %q", LogRequire, LogIgnore, a.TransparencyLog)}
	}
	if err := a.validateWindow(field); err != nil {
		return err
	}
	return a.validateRoot(field)
}

// needsRoot reports whether the authority looks at its trusted root.
func (a Authority) needsRoot() bool { return len(a.Identities) > 0 || a.TransparencyLog == LogRequire }

// validateRoot refuses a trusted root that lacks what the authority requires:
// nothing could ever satisfy it.
func (a Authority) validateRoot(field string) error {
	keyless := len(a.Identities) > 0
	const what = ".trustedRootRef"
	switch {
	case !a.needsRoot():
		return nil
	case a.Root == nil:
		return &PolicyError{field + what, "expected a trusted root, found none"}
	case a.TransparencyLog == LogRequire && !a.Root.hasLog():
		return &PolicyError{field + what, "expected a trusted root with a transparency log, as transparencyLog: Require needs, found one without"}
	case keyless && !a.Root.hasAuthority():
		return &PolicyError{field + what, "expected a trusted root with a certificate authority, as keyless needs, found one without"}
	case keyless && a.TransparencyLog == LogIgnore && !a.Root.hasTimestamper():
		return &PolicyError{field + what, "expected a trusted root with a timestamp authority, as keyless with transparencyLog: Ignore needs, found one without"}
	default:
		return nil
	}
}

// policyForm is the canonical form of a policy.
type policyForm struct {
	Version     int             `json:"version"`
	Threshold   int             `json:"threshold"`
	Authorities []authorityForm `json:"authorities"`
	DenyDigests []string        `json:"denyDigests,omitempty"`
}

type authorityForm struct {
	Name       string            `json:"name"`
	Keys       []string          `json:"keys"`
	Identities []json.RawMessage `json:"identities,omitempty"`
	Log        LogMode           `json:"transparencyLog"`
	Root       string            `json:"trustedRoot,omitempty"`
	NotBefore  string            `json:"notBefore,omitempty"`
	NotAfter   string            `json:"notAfter,omitempty"`
}

// Hash identifies the policy and the trust material in it: "sha256:<hex>" over
// a canonical form, in which the order of keys, of identities and of denied
// digests does not count, nor a trusted root that is not looked at, nor a time's
// zone. Two policies of one hash accept the same digests with the same evidence.
func (p Policy) Hash() string {
	form := policyForm{Version: 1, Threshold: p.Threshold, DenyDigests: p.denied()}
	for _, a := range p.Authorities {
		f := authorityForm{Name: a.Name, Keys: a.fingerprints(), Log: a.TransparencyLog, NotBefore: canonical(a.NotBefore), NotAfter: canonical(a.NotAfter)}
		for _, i := range a.Identities {
			f.Identities = append(f.Identities, encode(i.form()))
		}
		slices.SortFunc(f.Identities, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
		f.Identities = slices.CompactFunc(f.Identities, func(a, b json.RawMessage) bool { return string(a) == string(b) })
		if a.needsRoot() && a.Root != nil {
			f.Root = a.Root.Hash()
		}
		form.Authorities = append(form.Authorities, f)
	}
	sum := sha256.Sum256(encode(form))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func encode(form any) []byte {
	raw, err := json.Marshal(form)
	if err != nil {
		panic("verify: strings and integers always marshal: " + err.Error())
	}
	return raw
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
