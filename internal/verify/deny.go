package verify

import (
	"fmt"
	"regexp"
	"slices"
)

// MaxDenyDigests bounds the denied digests of one policy.
const MaxDenyDigests = 64

// canonicalDigest is the one spelling of a digest that can be judged.
var canonicalDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// denies reports whether a digest is refused whoever signed it.
func (p Policy) denies(digest string) bool { return slices.Contains(p.DenyDigests, digest) }

// Denial is the refusal of a digest that the policy denies, for which nothing
// else of the policy is needed; nil for any other.
func (p Policy) Denial(digest string) *Refusal {
	if !p.denies(digest) {
		return nil
	}
	return &Refusal{Reason: ReasonDigestDenied, Message: digest + ": expected a digest that is not denied, found it in verify.denyDigests"}
}

// denied is the digests that are denied, sorted, each once; nil for none.
func (p Policy) denied() []string {
	return slices.Compact(slices.Sorted(slices.Values(p.DenyDigests)))
}

// validateDenied refuses a digest that no digest is equal to: whoever wrote it
// believes that something is denied.
func (p Policy) validateDenied() error {
	const field = "verify.denyDigests"
	if n := len(p.DenyDigests); n > MaxDenyDigests {
		return &PolicyError{field, fmt.Sprintf("expected at most %d digests, found %d", MaxDenyDigests, n)}
	}
	for i, digest := range p.DenyDigests {
		if !canonicalDigest.MatchString(digest) {
			return &PolicyError{fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf(`expected "sha256:" and 64 hexadecimal digits in lower case, found %.100q`, digest)}
		}
	}
	return nil
}
