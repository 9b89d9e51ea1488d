package story

import (
	"testing"

	"k8s.io/utils/ptr"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// thresholds are policies over the keys a, b and c, and who signed.
var thresholds = map[string]struct {
	authorities []string // the keys of each; its name is its position, "first"
	threshold   int32
	signed      []string // "<key> <format>"
	// signers are "<authority> <format> <key>"; nil where it is refused.
	signers []string
	reason  string
	says    []string
}{
	"two authorities of one key": {
		authorities: []string{"a", "a"}, threshold: 2, signed: []string{"a cosign"},
		reason: "ThresholdNotMet", says: []string{"expected distinct signers for 2 authorities of 2, found 1", "second by none"},
	},
	"two signatures by one signer": {
		authorities: []string{"a", "b"}, threshold: 2, signed: []string{"a cosign", "a bundle"},
		reason: "ThresholdNotMet", says: []string{"found 1", "first by key", "second by none"},
	},
	"two signatures by one signer of both": {
		authorities: []string{"ab", "ab"}, threshold: 2, signed: []string{"a cosign", "a bundle"},
		reason: "ThresholdNotMet", says: []string{"found 1", "second by none"},
	},
	"one of two, and a stranger": {
		authorities: []string{"a", "b"}, threshold: 2, signed: []string{"a cosign", "c bundle"},
		reason: "ThresholdNotMet", says: []string{"found 1", "first by key", "second by none"},
	},
	"strangers only": {
		authorities: []string{"a", "b"}, threshold: 1, signed: []string{"c cosign", "c bundle"},
		reason: "KeyMismatch", says: []string{"found 2 signatures that no trusted key verifies"},
	},
	"any one of two": {
		authorities: []string{"a", "b"}, threshold: 1, signed: []string{"b bundle"},
		signers: []string{"second bundle b"},
	},
	"two of three": {
		authorities: []string{"a", "b", "c"}, threshold: 2, signed: []string{"c bundle", "a cosign"},
		signers: []string{"first cosign a", "third bundle c"},
	},
	"three of three": {
		authorities: []string{"a", "b", "c"}, threshold: 3, signed: []string{"c cosign", "a cosign", "b bundle"},
		signers: []string{"first cosign a", "second bundle b", "third cosign c"},
	},
	"the one that may be either is left to the other": {
		authorities: []string{"ab", "a"}, threshold: 2, signed: []string{"a cosign", "b cosign"},
		signers: []string{"first cosign b", "second cosign a"},
	},
}

var positions = []string{"first", "second", "third"}

func TestStoryThreshold(t *testing.T) {
	t.Parallel()
	for name, row := range thresholds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachRegistry(t, func(t *testing.T, w *world) {
				named := map[string]*signing.Key{"a": newKey(t, signing.ECDSAP256), "b": newKey(t, signing.Ed25519), "c": newKey(t, signing.RSA2048)}
				digest := w.push("app", "1.0.0", nil)
				for _, s := range row.signed {
					w.sign("app", digest, s[2:], named[s[:1]])
				}
				w.apply("app", w.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
					s.Version, s.Verify.Threshold, s.Verify.Authorities = "1.0.0", ptr.To(row.threshold), nil
					for i, letters := range row.authorities {
						var keys []*signing.Key
						for _, letter := range letters {
							keys = append(keys, named[string(letter)])
						}
						s.Verify.Authorities = append(s.Verify.Authorities, inline(positions[i], keys...))
					}
				}))
				obj := w.settled("app")
				if row.signers == nil {
					says := append(row.says, digest)
					w.expect(obj, expectation{conditions: refused(row.reason), observed: at("1.0.0", digest), says: map[string][]string{"Verified": says, "Ready": says}})
					w.again("app")
					w.told(w.tells("app", "Warning "+row.reason), says...)
					return
				}
				var signers []string
				for _, s := range row.signers {
					signers = append(signers, s[:len(s)-1]+fingerprint(named[s[len(s)-1:]]))
				}
				w.expect(obj, expectation{conditions: published(), observed: at("1.0.0", digest), artifact: at("1.0.0", digest), signers: signers})
				w.again("app")
				w.tells("app", "Normal SignatureVerified")
			})
		})
	}
}
