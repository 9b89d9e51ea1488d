package verify

import (
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// result is what one key says of one signature, worst first.
type result int

const (
	wrongKey    result = iota // the key did not make this signature
	wrongDigest               // the key made it, over something else
	accepted                  // the key made it, over this digest
)

// candidate is a signature that was read, in either format.
type candidate interface {
	verifiedBy(v signature.Verifier, digest v1.Hash) result
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
	if len(signatures) > MaxSignatures {
		return Verified{}, &TooManySignaturesError{Found: len(signatures)}
	}
	hash, err := v1.NewHash(digest)
	if err != nil || hash.Algorithm != "sha256" {
		return Verified{}, &Refusal{ReasonSignatureInvalid, fmt.Sprintf("expected a sha256 digest, found %.100q", digest)}
	}

	j := judgement{policy: policy, digest: hash, accepted: map[string]Format{}}
	for _, s := range signatures {
		j.judge(s)
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
	// accepted holds the keys that signed the digest, by fingerprint, and the
	// format: where a key signed in both, the one whose name sorts first, so
	// that the evidence does not follow the order in which a registry lists
	// signatures.
	accepted map[string]Format
	// What the others lacked.
	attestations, malformed, byOthers, overOthers int
	// anyMalformed is what is wrong with one that is malformed: of several, the
	// text that sorts first, for the same reason.
	anyMalformed string
}

func (j *judgement) judge(s Signature) {
	c, err := read(s)
	switch {
	case errors.Is(err, errNotASignature):
		j.attestations++
		return
	case err != nil:
		if j.malformed++; j.malformed == 1 || err.Error() < j.anyMalformed {
			j.anyMalformed = err.Error()
		}
		return
	}
	best := wrongKey
	for _, a := range j.policy.Authorities {
		for _, k := range a.Keys {
			best = max(best, j.try(c, k, s.Format))
		}
	}
	switch best {
	case wrongKey:
		j.byOthers++
	case wrongDigest:
		j.overOthers++
	}
}

// try judges one signature under one key, whatever the authority.
func (j *judgement) try(c candidate, k Key, f Format) result {
	best := wrongKey
	for _, v := range k.verifiers {
		if best = max(best, guarded(c, v, j.digest)); best == accepted {
			break
		}
	}
	if best == accepted {
		if known, ok := j.accepted[k.fingerprint]; !ok || f < known {
			j.accepted[k.fingerprint] = f
		}
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

// guarded turns a panic of a library over untrusted bytes into a no for that
// signature: the last resort, so that no input can end the process.
func guarded(c candidate, v signature.Verifier, digest v1.Hash) (r result) {
	defer func() {
		if recover() != nil {
			r = wrongKey
		}
	}()
	return c.verifiedBy(v, digest)
}

// refusal words the verdict no: the reason is that of the signature that got
// furthest.
func (j *judgement) refusal(signers []Signer) *Refusal {
	switch {
	case len(signers) > 0:
		return &Refusal{ReasonThresholdNotMet, fmt.Sprintf(
			"%s: expected distinct signers for %s of %d, found %d: %s",
			j.digest, countOf(j.policy.Threshold, "authority"), len(j.policy.Authorities), len(signers), j.satisfied(signers))}
	case j.overOthers > 0:
		return &Refusal{ReasonSignatureInvalid, fmt.Sprintf(
			"%s: expected a signature over this digest, found %s by a trusted key over something else (copied from another digest?)",
			j.digest, countOf(j.overOthers, "signature"))}
	case j.byOthers > 0:
		return &Refusal{ReasonKeyMismatch, fmt.Sprintf(
			"%s: expected a signature by %s, found %s that no trusted key verifies",
			j.digest, j.expectedKeys(), countOf(j.byOthers, "signature"))}
	case j.malformed > 0:
		return &Refusal{ReasonSignatureInvalid, fmt.Sprintf(
			"%s: expected a signature by %s, found %s that cannot be read; of one, %s",
			j.digest, j.expectedKeys(), countOf(j.malformed, "signature"), j.anyMalformed)}
	case j.attestations > 0:
		return &Refusal{ReasonNoSignature, fmt.Sprintf(
			"%s: expected a signature by %s, found none; %s found, which is not a signature",
			j.digest, j.expectedKeys(), countOf(j.attestations, "attestation"))}
	default:
		return &Refusal{ReasonNoSignature, fmt.Sprintf("%s: expected a signature by %s, found none", j.digest, j.expectedKeys())}
	}
}

// expectedKeys names the trusted keys, bounded.
func (j *judgement) expectedKeys() string {
	const most = 3
	var names []string
	total := 0
	for _, a := range j.policy.Authorities {
		for _, k := range a.Keys {
			if total++; total <= most {
				names = append(names, fmt.Sprintf("%s (key %s)", a.Name, k.fingerprint))
			}
		}
	}
	text := strings.Join(names, " or ")
	if total > most {
		text += fmt.Sprintf(" or one of %d more keys", total-most)
	}
	return text
}

func (j *judgement) satisfied(signers []Signer) string {
	by := map[string]string{}
	for _, s := range signers {
		by[s.Authority] = s.KeyFingerprint
	}
	parts := make([]string, 0, len(j.policy.Authorities))
	for _, a := range j.policy.Authorities {
		if k, ok := by[a.Name]; ok {
			parts = append(parts, fmt.Sprintf("%s by key %s", a.Name, k))
		} else {
			parts = append(parts, a.Name+" by none")
		}
	}
	return strings.Join(parts, ", ")
}

func countOf(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}
