package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
)

// result is what the library of a format says of a signature, worst first.
type result int

const (
	wrongKey    result = iota // the key or certificate did not make this signature
	wrongDigest               // it did, over something else
	accepted                  // it did, over this digest
)

// candidate is a signature that was read, in either format.
type candidate interface {
	// entity is the signature with what stands around it, as far as the terms
	// look at it.
	entity(t terms) (sigstore.SignedEntity, error)
	// judge asks the format's own library about the whole, under the terms and
	// with the material that was established for it.
	judge(t terms, p proof, digest v1.Hash) result
}

// Verify judges digest ("sha256:<64 hexadecimal digits>") by the signatures
// found for it. The error is a *Refusal when they do not suffice, a
// *PolicyError when the policy cannot be applied, and a
// *TooManySignaturesError when there are too many to judge; in the latter two
// nothing was judged.
func Verify(policy Policy, digest string, signatures []Signature) (Verified, error) {
	if err := policy.Validate(); err != nil {
		return Verified{}, err
	}
	if policy.denies(digest) {
		return Verified{}, &Refusal{Reason: ReasonDigestDenied, Message: digest + ": expected a digest that is not denied, found it in verify.denyDigests"}
	}
	if len(signatures) > MaxSignatures {
		return Verified{}, &TooManySignaturesError{Found: len(signatures)}
	}
	hash, err := v1.NewHash(digest)
	if err != nil || hash.Algorithm != "sha256" {
		return Verified{}, &Refusal{Reason: ReasonSignatureInvalid, Message: fmt.Sprintf("expected a sha256 digest, found %.100q", digest)}
	}

	j := judgement{policy: policy, digest: hash, satisfied: make([]map[string]Signer, len(policy.Authorities)), others: map[string]bool{}}
	judged := map[[3]string]finding{} // The same bytes, listed a hundred times, are judged once.
	for _, s := range signatures {
		bytes := [3]string{string(s.Format), string(s.Payload), string(s.Annotations)}
		if _, ok := judged[bytes]; !ok {
			judged[bytes] = j.judge(s)
		}
		j.note(judged[bytes])
	}
	signers := j.match()
	if len(signers) < policy.Threshold {
		return Verified{}, j.refusal(signers)
	}
	return Verified{digest: hash.String(), policyHash: policy.Hash(), signers: signers}, nil
}

// judgement collects what the signatures of one digest prove.
type judgement struct {
	policy Policy
	digest v1.Hash
	// satisfied holds, for each authority, who satisfied it, by who it is.
	satisfied []map[string]Signer
	// count is how many signatures ended at each standing, and detail the text
	// of one of them.
	count  [standings]int
	detail [standings]string
	// byRoot says that the trusted root refused something, for some authority.
	byRoot bool
	// others are the identities whose signatures verified and may not sign.
	others map[string]bool
}

func (j *judgement) note(f finding) {
	if j.count[f.standing]++; j.count[f.standing] == 1 || f.detail < j.detail[f.standing] {
		j.detail[f.standing] = f.detail
	}
}

// judge judges one signature for every authority.
func (j *judgement) judge(s Signature) finding {
	c, err := read(s)
	switch {
	case errors.Is(err, errNotASignature):
		return finding{standing: attestation}
	case err != nil:
		return finding{unreadable, err.Error()}
	}
	best := finding{standing: attestation}
	certificates := map[terms]certificateFinding{} // judged once, whatever the number of identities
	for i, a := range j.policy.Authorities {
		var found finding
		if len(a.Keys) > 0 {
			found = j.judgeKeys(i, c, s.Format)
		} else {
			t := terms{root: a.Root, log: a.TransparencyLog}
			if _, ok := certificates[t]; !ok {
				certificates[t] = certify(c, t, j.digest)
			}
			found = j.judgeIdentities(i, certificates[t], s.Format)
		}
		j.byRoot = j.byRoot || found.standing == wronglyLogged || found.standing == untimed || found.standing == uncertified
		best = best.better(found)
	}
	return best
}

func read(s Signature) (c candidate, err error) {
	defer func() {
		if recover() != nil {
			c, err = nil, errors.New("it cannot be read")
		}
	}()
	switch s.Format {
	case FormatCosign:
		return readCosign(s)
	case FormatBundle:
		return readBundle(s)
	default:
		return nil, fmt.Errorf("its format is unknown")
	}
}

// judgeKeys judges a signature under each key of an authority.
func (j *judgement) judgeKeys(authority int, c candidate, f Format) finding {
	a := j.policy.Authorities[authority]
	best := finding{standing: byOthers}
	for _, k := range a.Keys {
		signer := Signer{Authority: a.Name, Format: f, KeyFingerprint: k.fingerprint}
		for _, v := range k.verifiers {
			found := guarded(func() finding {
				return judgeKey(c, terms{key: v, log: LogIgnore}, a, j.digest, &signer)
			}, finding{standing: byOthers})
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
		return finding{wronglyLogged, "its log entry does not verify"}
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
func certify(c candidate, t terms, digest v1.Hash) certificateFinding {
	unreadableFinding := certificateFinding{finding: finding{unreadable, "it cannot be read"}}
	return guarded(func() certificateFinding {
		e, err := c.entity(t)
		if err != nil {
			return certificateFinding{finding: finding{unreadable, err.Error()}}
		}
		leaf, err := leafOf(e)
		switch {
		case err != nil:
			return unreadableFinding
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
	}, unreadableFinding)
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

// guarded turns a panic of a library over untrusted bytes into a no for that
// signature: the last resort, so that no input can end the process.
func guarded[T any](judge func() T, no T) (found T) {
	defer func() {
		if recover() != nil {
			found = no
		}
	}()
	return judge()
}
