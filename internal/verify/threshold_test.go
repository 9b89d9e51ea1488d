package verify_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

// signedBy are signatures over the artifact: "alice", or "alice/bundle".
func signedBy(t testing.TB, names ...string) []verify.Signature {
	t.Helper()
	var all []verify.Signature
	for _, name := range names {
		name, format, _ := strings.Cut(name, "/")
		if format == "" {
			format = "cosign"
		}
		all = append(all, formats[verify.Format(format)](t, artifact, p256(t, name)))
	}
	return all
}

// named is an authority with the keys of these names.
func named(t testing.TB, name string, keys ...string) verify.Authority {
	t.Helper()
	a := verify.Authority{Name: name, TransparencyLog: verify.LogIgnore}
	for _, k := range keys {
		a.Keys = append(a.Keys, trusted(t, p256(t, k))...)
	}
	return a
}

func TestThreshold(t *testing.T) {
	a := func(keys ...string) verify.Authority { return named(t, "A", keys...) }
	b := func(keys ...string) verify.Authority { return named(t, "B", keys...) }
	c := func(keys ...string) verify.Authority { return named(t, "C", keys...) }
	tests := map[string]struct {
		reason string
		policy verify.Policy
		signed []string
		want   []string // authority=key/format, or nothing for ThresholdNotMet
	}{
		"OneOfTwo":            {"any one suffices", threshold(1, a("alice"), b("bob")), []string{"bob"}, []string{"B=bob/cosign"}},
		"BothOfOne":           {"all that are satisfied are evidence", threshold(1, a("alice"), b("bob")), []string{"bob", "alice"}, []string{"A=alice/cosign", "B=bob/cosign"}},
		"TwoOfTwo":            {"", threshold(2, a("alice"), b("bob")), []string{"bob", "alice/bundle"}, []string{"A=alice/bundle", "B=bob/cosign"}},
		"TwoOfThree":          {"", threshold(2, a("alice"), b("bob"), c("carol")), []string{"carol/bundle", "alice"}, []string{"A=alice/cosign", "C=carol/bundle"}},
		"OneOfTwoNeeded":      {"one is missing", threshold(2, a("alice"), b("bob")), []string{"alice"}, nil},
		"TwoOfThreeNeeded":    {"one is missing", threshold(3, a("alice"), b("bob"), c("carol")), []string{"alice", "carol"}, nil},
		"SameKeyOneSignature": {"one signer never satisfies two", threshold(2, a("alice"), b("alice")), []string{"alice"}, nil},
		"SignerOfBoth":        {"one signer that both trust is one signer", threshold(2, a("alice", "bob"), b("alice", "carol")), []string{"alice"}, nil},
		"SignerOfThree":       {"one signer that all trust is one signer", threshold(2, a("alice"), b("alice"), c("alice")), []string{"alice", "alice/bundle"}, nil},
		"TwoBySameSigner":     {"two signatures by one signer are one", threshold(2, a("alice"), b("alice")), []string{"alice", "alice"}, nil},
		"TwoFormats":          {"two formats by one signer are one", threshold(2, a("alice"), b("alice")), []string{"alice", "alice/bundle"}, nil},
		"TwoByOneOfTwo":       {"two signatures by one signer are one", threshold(2, a("alice"), b("bob")), []string{"alice", "alice/bundle", "alice"}, nil},
		"TwoKeysOneAuthority": {"one authority counts once", threshold(2, a("alice", "bob"), b("carol")), []string{"alice", "bob"}, nil},
		"GreedyFails":         {"A must leave alice to B", threshold(2, a("alice", "bob"), b("alice")), []string{"alice", "bob"}, []string{"A=bob/cosign", "B=alice/cosign"}},
		"GreedyFailsSwapped":  {"A must leave alice to B", threshold(2, a("bob", "alice"), b("alice")), []string{"bob", "alice"}, []string{"A=bob/cosign", "B=alice/cosign"}},
		"Chain":               {"each must give way to the next", threshold(3, a("alice", "bob"), b("alice", "carol"), c("alice")), []string{"alice", "bob", "carol"}, []string{"A=bob/cosign", "B=carol/cosign", "C=alice/cosign"}},
		"ChainCut":            {"only two signers for three", threshold(3, a("alice", "bob"), b("alice", "carol"), c("alice")), []string{"alice", "bob"}, nil},
		"Stranger":            {"a stranger counts for nobody", threshold(2, a("alice"), b("bob")), []string{"alice", "mallory"}, nil},
		"SharedKeyAndOwn":     {"B takes its own", threshold(2, a("alice"), b("alice", "bob")), []string{"alice", "bob"}, []string{"A=alice/cosign", "B=bob/cosign"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			signatures := signedBy(t, tt.signed...)
			if tt.want == nil {
				wantRefusal(t, verify.ReasonThresholdNotMet, tt.policy, artifact, signatures...)
				return
			}
			v := wantVerified(t, tt.policy, artifact, signatures...)
			if diff := cmp.Diff(tt.want, evidence(t, v)); diff != "" {
				t.Errorf("%s: evidence (-want +got):\n%s", tt.reason, diff)
			}
		})
	}
}

// evidence is "authority=key/format", with the key's name in the tests.
func evidence(t testing.TB, v verify.Verified) []string {
	t.Helper()
	var all []string
	for _, s := range v.Signers() {
		by := "unknown"
		for _, name := range []string{"alice", "bob", "carol", "dave"} {
			if s.KeyFingerprint == fingerprint(t, p256(t, name)) {
				by = name
			}
		}
		all = append(all, fmt.Sprintf("%s=%s/%s", s.Authority, by, s.Format))
	}
	return all
}

// someOf is a random set of names, perhaps an empty one.
func someOf(random *rand.Rand, names []string) []string {
	var some []string
	for _, name := range names {
		if random.IntN(2) == 0 {
			some = append(some, name)
		}
	}
	return some
}

// most is how many authorities can be satisfied, each by a signer of its own:
// the best of all ways to give each authority one of its signers, or none.
func most(authorities [][]string, signed []string) int {
	if len(authorities) == 0 {
		return 0
	}
	best := most(authorities[1:], signed)
	for i, name := range signed {
		if slices.Contains(authorities[0], name) {
			best = max(best, 1+most(authorities[1:], slices.Concat(signed[:i], signed[i+1:])))
		}
	}
	return best
}

// Whatever the policy and whoever signed: the verdict is that of brute force.
func TestThresholdAgainstBruteForce(t *testing.T) {
	names := []string{"alice", "bob", "carol", "dave"}
	random := rand.New(rand.NewPCG(5, 6))
	verdicts := map[bool]int{}
	for range 150 {
		var policy verify.Policy
		var keys [][]string
		for i := range 1 + random.IntN(4) {
			mine := someOf(random, names)
			if len(mine) == 0 {
				mine = names[:1]
			}
			keys = append(keys, mine)
			policy.Authorities = append(policy.Authorities, named(t, fmt.Sprint(i), mine...))
		}
		policy.Threshold = 1 + random.IntN(len(policy.Authorities))
		signed := someOf(random, names)
		var signatures []verify.Signature
		for _, name := range signed {
			signatures = append(signatures, signedBy(t, name+[]string{"", "/bundle"}[random.IntN(2)])...)
		}
		satisfied := most(keys, signed)
		v, err := verify.Verify(policy, artifact, signatures)
		verdicts[err == nil]++
		says := fmt.Sprintf("threshold %d, keys %v, signed by %v", policy.Threshold, keys, signed)
		if (err == nil) != (satisfied >= policy.Threshold) {
			t.Fatalf("%s: brute force satisfies %d, the verdict is %v", says, satisfied, err)
		}
		if err != nil {
			wantShortfall(t, says, err, satisfied)
			continue
		}
		wantEvidence(t, says, v, keys, signed, satisfied)
	}
	if verdicts[true] < 20 || verdicts[false] < 20 {
		t.Errorf("too few of a kind to say anything: %v", verdicts)
	}
}

// wantShortfall checks that a refusal says how many authorities are satisfied.
func wantShortfall(t *testing.T, says string, err error, satisfied int) {
	t.Helper()
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("%s: %v", says, err)
	}
	if got := refusal.Reason == verify.ReasonThresholdNotMet; got != (satisfied > 0) {
		t.Fatalf("%s: brute force satisfies %d: %v", says, satisfied, err)
	}
	if satisfied > 0 && !strings.Contains(refusal.Message, fmt.Sprintf(", found %d:", satisfied)) {
		t.Fatalf("%s: brute force satisfies %d: %v", says, satisfied, err)
	}
}

// wantEvidence checks that the evidence is an assignment: of signers that did
// sign, each once, to authorities that trust them, in their order.
func wantEvidence(t *testing.T, says string, v verify.Verified, keys [][]string, signed []string, satisfied int) {
	t.Helper()
	if len(v.Signers()) != satisfied {
		t.Fatalf("%s: brute force satisfies %d, the evidence is %v", says, satisfied, v.Signers())
	}
	last, used := -1, map[string]bool{}
	for _, e := range evidence(t, v) {
		var at int
		var by string
		if _, err := fmt.Sscanf(strings.NewReplacer("=", " ", "/", " ").Replace(e), "%d %s", &at, &by); err != nil {
			t.Fatalf("%s: %s: %v", says, e, err)
		}
		if at <= last || used[by] || !slices.Contains(signed, by) || !slices.Contains(keys[at], by) {
			t.Fatalf("%s: not an assignment: %v", says, evidence(t, v))
		}
		last, used[by] = at, true
	}
}
