package verify_test

import (
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// The same bytes in another format are another signature: what an attacker
// lists as Cosign's does not spoil the bundle that it is.
func TestRepeatedBytesAreOfOneFormat(t *testing.T) {
	key := p256(t, "signer")
	right := bundleSigned(t, artifact, key)
	misread := right
	misread.Format = verify.FormatCosign
	wantVerified(t, trusting(t, key), artifact, misread, right)
	wantVerified(t, trusting(t, key), artifact, right, misread)
	wantRefusal(t, verify.ReasonSignatureInvalid, trusting(t, key), artifact, misread, misread)
}
