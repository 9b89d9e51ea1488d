package verify_test

import (
	"slices"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// A timestamp by nobody of the root says nothing, beside one that does: it is not
// what a signature is refused for.
func TestTimestampBesideAnother(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	a.mode = verify.LogIgnore
	policy := a.policy(t)
	s := a.sign(t)
	right, other := stampBy(t, ours(t), s, hours(0)), stampBy(t, theirs(t), s, hours(0))
	s.Timestamps = [][]byte{right, other}
	wantVerified(t, policy, artifact, signatureOf(t, s))
	slices.Reverse(s.Timestamps)
	wantVerified(t, policy, artifact, signatureOf(t, s))
	s.Timestamps = [][]byte{other}
	wantRefusal(t, verify.ReasonTimestampInvalid, policy, artifact, signatureOf(t, s))
}
