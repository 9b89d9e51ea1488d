package verify

import (
	"errors"
	"fmt"

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
// nothing was judged. Nothing stops it: see [Until].
func Verify(policy Policy, digest string, signatures []Signature) (Verified, error) {
	return Until(func() bool { return false }, policy, digest, signatures)
}

// Until is [Verify] with an end: stop is asked between the units of work, of
// which there is one for each signature, for each authority, and for each key.
// Once it says true the error is a *StoppedError, and nothing was judged: what
// was found until then is part of no answer.
//
// A panic anywhere in here, its caller's stop included, is a *Refusal.
func Until(stop func() bool, policy Policy, digest string, signatures []Signature) (v Verified, err error) {
	hash, _ := v1.NewHash(digest) // the zero value for what is none
	j := &judgement{policy: policy, digest: hash, stop: stop, satisfied: make([]map[string]Signer, len(policy.Authorities)), others: map[string]bool{}}
	defer func() {
		if recover() != nil {
			v, err = Verified{}, j.faultRefusal(digest)
		}
	}()
	signers, err := j.reach(digest, signatures)
	if err != nil {
		return Verified{}, err
	}
	return Verified{digest: j.digest.String(), policyHash: policy.Hash(), signers: signers, panics: j.faults}, nil
}

// reach reaches the verdict: who signed, enough of them, or the error.
func (j *judgement) reach(digest string, signatures []Signature) ([]Signer, error) {
	if err := j.policy.Validate(); err != nil {
		return nil, err
	}
	if denial := j.policy.Denial(digest); denial != nil {
		return nil, denial
	}
	if len(signatures) > MaxSignatures {
		return nil, &TooManySignaturesError{Found: len(signatures)}
	}
	if j.digest.Algorithm != "sha256" {
		return nil, &Refusal{Reason: ReasonSignatureInvalid, Message: fmt.Sprintf("expected a sha256 digest, found %.100q", digest)}
	}
	judged := map[[3]string]finding{} // The same bytes, listed a hundred times, are judged once.
	for _, s := range signatures {
		bytes := [3]string{string(s.Format), string(s.Payload), string(s.Annotations)}
		if _, ok := judged[bytes]; !ok {
			judged[bytes] = j.judge(s)
		}
		if j.stopped {
			return nil, &StoppedError{Signatures: len(signatures), Panics: j.faults}
		}
		j.note(judged[bytes])
	}
	signers := match(j.satisfied)
	if len(signers) < j.policy.Threshold {
		return nil, j.refusal(signers)
	}
	return signers, nil
}

// judgement collects what the signatures of one digest prove.
type judgement struct {
	policy Policy
	digest v1.Hash
	// stop says that the verdict is not waited for any more, and stopped that it
	// once did.
	stop    func() bool
	stopped bool
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
	// faults counts the panics.
	faults int
}

// ends asks whether to stop, before a unit of work. Whoever said so once is not
// asked again.
func (j *judgement) ends() bool {
	j.stopped = j.stopped || j.stop()
	return j.stopped
}

func (j *judgement) note(f finding) {
	if j.count[f.standing]++; j.count[f.standing] == 1 || f.detail < j.detail[f.standing] {
		j.detail[f.standing] = f.detail
	}
}

// judge judges one signature for every authority, and notes whom it satisfies.
// One that made a library panic stands as such, whatever else was found. Where
// the verdict is stopped on the way, what it returns means nothing.
func (j *judgement) judge(s Signature) finding {
	before := j.faults
	best := j.judgeWhole(s)
	if j.faults > before {
		return finding{standing: faulted}
	}
	return best
}

func (j *judgement) judgeWhole(s Signature) finding {
	best := finding{standing: attestation}
	if j.ends() {
		return best
	}
	c, err := j.read(s)
	switch {
	case errors.Is(err, errNotASignature):
		return best
	case err != nil:
		return finding{unreadable, err.Error()}
	}
	certificates := map[terms]certificateFinding{} // judged once, whatever the number of identities
	for i, a := range j.policy.Authorities {
		if j.ends() {
			return best
		}
		var found finding
		if len(a.Keys) > 0 {
			found = j.judgeKeys(i, c, s.Format)
		} else {
			t := terms{root: a.Root, log: a.TransparencyLog}
			if _, ok := certificates[t]; !ok {
				certificates[t] = j.certify(c, t)
			}
			found = j.judgeIdentities(i, certificates[t], s.Format)
		}
		j.byRoot = j.byRoot || found.standing == wronglyLogged || found.standing == untimed || found.standing == uncertified
		best = best.better(found)
	}
	return best
}

func (j *judgement) read(s Signature) (c candidate, err error) {
	guarded(&j.faults, func() finding {
		c, err = readAs(s)
		return finding{}
	})
	if c == nil && err == nil {
		err = errors.New("it cannot be read") // It panicked.
	}
	return c, err
}

func readAs(s Signature) (candidate, error) {
	switch s.Format {
	case FormatCosign:
		return readCosign(s)
	case FormatBundle:
		return readBundle(s)
	default:
		return nil, fmt.Errorf("its format is unknown")
	}
}
