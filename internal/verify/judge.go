package verify

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
)

// judgeKeys judges a signature under each key of an authority.
func (j *judgement) judgeKeys(authority int, c candidate, f Format) finding {
	a := j.policy.Authorities[authority]
	best := finding{standing: byOthers}
	for _, k := range a.Keys {
		signer := Signer{Authority: a.Name, Format: f, KeyFingerprint: k.fingerprint}
		for _, v := range k.verifiers {
			if j.ends() {
				return best
			}
			found := guarded(&j.faults, func() finding {
				return judgeKey(c, terms{key: v, log: LogIgnore}, a, j.digest, &signer)
			})
			if found.standing == satisfying {
				j.satisfy(authority, signer.id(), signer)
				return found
			}
			best = best.better(found)
		}
	}
	return best
}

// judgeKey judges a signature under one key, in one of the ways in which it
// signs: first whether the key made it, and then, where the authority requires
// a log, what stands around it.
func judgeKey(c candidate, bare terms, a Authority, digest v1.Hash, signer *Signer) finding {
	switch c.judge(bare, proof{material: bare.material(nil)}, digest) {
	case wrongKey:
		return finding{standing: byOthers}
	case wrongDigest:
		return finding{standing: overOthers}
	}
	if !a.needsRoot() {
		return finding{standing: satisfying}
	}
	t := terms{key: bare.key, root: a.Root, log: a.TransparencyLog}
	e, err := c.entity(t)
	if err != nil {
		return finding{wronglyLogged, err.Error()} // The key made it, so it is not unreadable.
	}
	p, err := t.establish(e)
	if err != nil {
		return fallsShort(err)
	}
	if c.judge(t, p, digest) != accepted {
		return finding{wronglyLogged, "the library of its format refuses it together with its log entry, which verifies alone"}
	}
	signer.Log, signer.SignedTimestamp = p.log, earliest(p.stamps)
	return a.timely(p.times)
}

// certificateFinding is what a certificate and all around it say of a
// signature, before anybody asks whose it is.
type certificateFinding struct {
	finding
	verdict result // wrongDigest or accepted; else the finding holds
	claims  claims
	proof   proof
	key     string // the fingerprint of the certificate's key
}

// certify judges a signature by its certificate.
func (j *judgement) certify(c candidate, t terms) (found certificateFinding) {
	shortfall := guarded(&j.faults, func() finding {
		found = certify(c, t, j.digest)
		return found.finding
	})
	if shortfall.standing == faulted {
		return certificateFinding{finding: shortfall}
	}
	return found
}

func certify(c candidate, t terms, digest v1.Hash) certificateFinding {
	e, err := c.entity(t)
	if err != nil {
		return certificateFinding{finding: finding{unreadable, err.Error()}}
	}
	leaf, err := leafOf(e)
	switch {
	case err != nil:
		return certificateFinding{finding: finding{unreadable, "it cannot be read"}}
	case leaf == nil:
		return certificateFinding{finding: finding{standing: uncertificated}}
	}
	p, err := t.establish(e)
	if err != nil {
		return certificateFinding{finding: fallsShort(err)}
	}
	who, err := readClaims(leaf)
	if err != nil {
		return certificateFinding{finding: finding{uncertified, "of its certificate, " + err.Error()}}
	}
	verdict := c.judge(t, p, digest)
	if verdict == wrongKey {
		return certificateFinding{finding: finding{standing: broken}}
	}
	return certificateFinding{verdict: verdict, claims: who, proof: p, key: fingerprintOf(leaf)}
}

func leafOf(e sigstore.SignedEntity) (*x509.Certificate, error) {
	content, err := e.VerificationContent()
	if err != nil {
		return nil, err
	}
	return content.Certificate(), nil
}

// judgeIdentities asks whether whom a verified certificate names may sign for
// an authority.
func (j *judgement) judgeIdentities(authority int, c certificateFinding, f Format) finding {
	if c.verdict == wrongKey {
		return c.finding
	}
	a := j.policy.Authorities[authority]
	allowed := slices.ContainsFunc(a.Identities, func(i Identity) bool { return i.matches(c.claims) })
	switch {
	case allowed && c.verdict == accepted:
		// The window is this authority's alone; what is known of the certificate
		// is shared with others.
		if found := a.timely(c.proof.times); found.standing != satisfying {
			return found
		}
		s := Signer{
			Authority: a.Name, Format: f, Issuer: c.claims.issuer, Subject: c.claims.subject, Extensions: c.claims.extensions,
			Log: c.proof.log, SignedTimestamp: earliest(c.proof.stamps),
		}
		j.satisfy(authority, j.signerID(s, c.key), s)
		return finding{standing: satisfying}
	case allowed:
		return finding{standing: overOthers}
	case c.verdict == accepted:
		j.others[c.claims.describe(a.Identities)] = true
		return finding{standing: otherIdentity}
	default:
		return finding{standing: foreign}
	}
}

// signerID is whose a signature by a certificate is: its identity's, or that of
// a key of the policy, if the certificate is for that very key. One signature
// would count for two authorities otherwise.
func (j *judgement) signerID(s Signer, key string) string {
	for _, a := range j.policy.Authorities {
		if slices.Contains(a.fingerprints(), key) {
			return Signer{KeyFingerprint: key}.id()
		}
	}
	return s.id()
}

// satisfy notes that a signer satisfied an authority. Of several signatures by
// one signer it keeps the one that sorts first.
func (j *judgement) satisfy(authority int, id string, s Signer) {
	if j.satisfied[authority] == nil {
		j.satisfied[authority] = map[string]Signer{}
	}
	if known, ok := j.satisfied[authority][id]; !ok || s.before(known) {
		j.satisfied[authority][id] = s
	}
}

func fallsShort(err error) finding {
	var s *shortfall
	if errors.As(err, &s) {
		return finding{s.standing, s.detail}
	}
	return finding{unreadable, "it cannot be read"}
}

func earliest(times []time.Time) time.Time {
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}
