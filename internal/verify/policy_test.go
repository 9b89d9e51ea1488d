package verify_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

// manyKeys are n distinct keys.
func manyKeys(t testing.TB, n int) []verify.Key {
	t.Helper()
	var keys []verify.Key
	for range n {
		parsed, err := verify.ParseKeys([]byte(publicBlock(ed25519Public())))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, parsed...)
	}
	return keys
}

// numbered are n authorities, each with these keys.
func numbered(n int, keys ...verify.Key) []verify.Authority {
	var all []verify.Authority
	for i := range n {
		all = append(all, verify.Authority{Name: fmt.Sprintf("authority-%d", i), Keys: keys, TransparencyLog: verify.LogIgnore})
	}
	return all
}

func TestInvalidPolicies(t *testing.T) {
	key := p256(t, "signer")
	keys := trusted(t, key)
	one := func(change func(*verify.Authority)) verify.Policy {
		p := trusting(t, key)
		change(&p.Authorities[0])
		return p
	}
	two := func(change func(*verify.Authority)) verify.Policy {
		p := threshold(1, authority(t, "first", key), authority(t, "second", key))
		change(&p.Authorities[1])
		return p
	}
	tests := map[string]struct {
		reason string
		policy verify.Policy
		field  string
	}{
		"Zero":              {"trusts nobody", verify.Policy{}, "verify.authorities"},
		"NoAuthorities":     {"trusts nobody", threshold(1), "verify.authorities"},
		"17Authorities":     {"over the bound", threshold(1, numbered(17, keys...)...), "verify.authorities"},
		"ThresholdZero":     {"would be met by nothing", threshold(0, authority(t, "a", key)), "verify.threshold"},
		"ThresholdNegative": {"would be met by nothing", threshold(-1, authority(t, "a", key)), "verify.threshold"},
		"ThresholdTooLarge": {"can never be met", threshold(2, authority(t, "a", key)), "verify.threshold"},
		"NoName":            {"evidence must name it", one(func(a *verify.Authority) { a.Name = "" }), "verify.authorities[0].name"},
		"SameName":          {"evidence must name one", two(func(a *verify.Authority) { a.Name = "first" }), "verify.authorities[1].name"},
		"NilKeys":           {"an authority without keys", one(func(a *verify.Authority) { a.Keys = nil }), "verify.authorities[0].key"},
		"NoKeys":            {"an authority without keys", one(func(a *verify.Authority) { a.Keys = []verify.Key{} }), "verify.authorities[0].key"},
		"NoKeysInSecond":    {"each needs a key", two(func(a *verify.Authority) { a.Keys = nil }), "verify.authorities[1].key"},
		"ZeroKey":           {"only ParseKeys makes keys", one(func(a *verify.Authority) { a.Keys = []verify.Key{{}} }), "verify.authorities[0].key"},
		"ZeroKeyBesideGood": {"each key counts", one(func(a *verify.Authority) { a.Keys = append(a.Keys, verify.Key{}) }), "verify.authorities[0].key"},
		"33Keys":            {"over the bound", one(func(a *verify.Authority) { a.Keys = manyKeys(t, 33) }), "verify.authorities"},
		"33KeysInAll":       {"the bound is for all", two(func(a *verify.Authority) { a.Keys = manyKeys(t, 32) }), "verify.authorities"},
		"33TimesOneKey":     {"work is bounded too", one(func(a *verify.Authority) { a.Keys = repeat(keys[0], 33) }), "verify.authorities"},
		"NoLogMode":         {"not decided", one(func(a *verify.Authority) { a.TransparencyLog = "" }), "verify.authorities[0].transparencyLog"},
		"LogRequire":        {"no root that has a log", one(func(a *verify.Authority) { a.TransparencyLog = "Require" }), "verify.authorities[0].trustedRootRef"},
		"KeysAndIdentities": {"which of them signs?", one(func(a *verify.Authority) { a.Identities = someIdentities(t, 1) }), "verify.authorities[0]"},
		"33Identities": {"over the bound", one(func(a *verify.Authority) {
			a.Keys, a.Identities, a.Root = nil, someIdentities(t, 33), rootOf(t, "trusted_root")
		}), "verify.authorities"},
		"ZeroIdentity":    {"only NewIdentity makes them", one(func(a *verify.Authority) { a.Keys, a.Identities = nil, []verify.Identity{{}} }), "verify.authorities[0].keyless.identities[0]"},
		"LogModeCase":     {"not the constant", one(func(a *verify.Authority) { a.TransparencyLog = "ignore" }), "verify.authorities[0].transparencyLog"},
		"LogModeOfSecond": {"each counts", two(func(a *verify.Authority) { a.TransparencyLog = "Required" }), "verify.authorities[1].transparencyLog"},
	}
	signatures := []verify.Signature{cosignSigned(t, artifact, key), bundleSigned(t, artifact, key)}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, verdict := verify.Verify(tt.policy, artifact, signatures)
			tooMany := make([]verify.Signature, verify.MaxSignatures+1)
			v, verdictOfMany := verify.Verify(tt.policy, artifact, tooMany)
			for by, err := range map[string]error{
				"Validate": tt.policy.Validate(), "Verify": verdict, "Verify, too many": verdictOfMany,
			} {
				var invalid *verify.PolicyError
				if !errors.As(err, &invalid) {
					t.Fatalf("%s: %s: expected a *PolicyError, found %v", tt.reason, by, err)
				}
				if diff := cmp.Diff(tt.field, invalid.Field); diff != "" {
					t.Errorf("%s: field (-want +got):\n%s", by, diff)
				}
			}
			if !v.IsZero() {
				t.Errorf("%s: a Verified that is not zero", tt.reason)
			}
		})
	}
}

func someIdentities(t testing.TB, n int) []verify.Identity {
	t.Helper()
	all := make([]verify.Identity, n)
	for i := range all {
		all[i] = identityOf(t, verify.IdentitySpec{Issuer: "https://issuer.example", Subject: fmt.Sprintf("%d@example.com", i)})
	}
	return all
}

func repeat(key verify.Key, n int) []verify.Key {
	var keys []verify.Key
	for range n {
		keys = append(keys, key)
	}
	return keys
}

func TestValidPolicies(t *testing.T) {
	key := p256(t, "signer")
	keys := trusted(t, key)
	tests := map[string]struct {
		reason string
		policy verify.Policy
	}{
		"One":             {"the smallest", trusting(t, key)},
		"16Authorities":   {"the bound itself", threshold(16, numbered(16, keys...)...)},
		"32Keys":          {"the bound itself", threshold(1, numbered(1, manyKeys(t, 32)...)...)},
		"32KeysInAll":     {"the bound itself", threshold(2, numbered(2, manyKeys(t, 16)...)...)},
		"SameKeyInTwo":    {"allowed; Verify counts its signature once", threshold(2, numbered(2, keys...)...)},
		"SameKeyTwice":    {"Secrets repeat keys", threshold(1, numbered(1, keys[0], keys[0])...)},
		"NamesDifferOnly": {"names are compared as they are", threshold(1, authority(t, "a", key), authority(t, "A", key))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.policy.Validate(); err != nil {
				t.Errorf("%s: %v", tt.reason, err)
			}
		})
	}
}

func TestHash(t *testing.T) {
	keys := manyKeys(t, 4)
	of := func(name string, keys ...verify.Key) verify.Authority {
		return verify.Authority{Name: name, Keys: keys, TransparencyLog: verify.LogIgnore}
	}
	base := threshold(1, of("a", keys[0], keys[1]), of("b", keys[2]))
	tests := map[string]struct {
		reason string
		policy verify.Policy
		equal  bool
	}{
		"Same":          {"", threshold(1, of("a", keys[0], keys[1]), of("b", keys[2])), true},
		"KeysSwapped":   {"the order of files in a Secret means nothing", threshold(1, of("a", keys[1], keys[0]), of("b", keys[2])), true},
		"KeyTwice":      {"a key that stands twice is one key", threshold(1, of("a", keys[1], keys[0], keys[1]), of("b", keys[2])), true},
		"Name":          {"the evidence differs", threshold(1, of("A", keys[0], keys[1]), of("b", keys[2])), false},
		"Threshold":     {"", threshold(2, of("a", keys[0], keys[1]), of("b", keys[2])), false},
		"KeyAdded":      {"", threshold(1, of("a", keys[0], keys[1], keys[3]), of("b", keys[2])), false},
		"KeyRemoved":    {"", threshold(1, of("a", keys[0]), of("b", keys[2])), false},
		"KeyReplaced":   {"", threshold(1, of("a", keys[0], keys[3]), of("b", keys[2])), false},
		"KeyMoved":      {"the same keys, of other authorities", threshold(1, of("a", keys[0]), of("b", keys[1], keys[2])), false},
		"KeysOfOther":   {"the same keys, of other authorities", threshold(1, of("a", keys[2]), of("b", keys[0], keys[1])), false},
		"Order":         {"which authority gets a key that two have depends on it", threshold(1, of("b", keys[2]), of("a", keys[0], keys[1])), false},
		"Removed":       {"", threshold(1, of("a", keys[0], keys[1])), false},
		"Added":         {"", threshold(1, of("a", keys[0], keys[1]), of("b", keys[2]), of("c", keys[3])), false},
		"LogMode":       {"", threshold(1, of("a", keys[0], keys[1]), verify.Authority{Name: "b", Keys: keys[2:3], TransparencyLog: "Require"}), false},
		"NamesInOne":    {"no separator can be part of a name", threshold(1, of(`a","keys":[],"b`, keys[0], keys[1]), of("b", keys[2])), false},
		"AllInOne":      {"", threshold(1, of("a", keys[0], keys[1], keys[2]), of("b", keys[2])), false},
		"Zero":          {"", verify.Policy{}, false},
		"NoAuthority":   {"", threshold(1), false},
		"EmptyKeys":     {"", threshold(1, of("a"), of("b")), false},
		"ZeroThreshold": {"", threshold(0, base.Authorities...), false},
	}
	seen := map[string]string{base.Hash(): "base"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := tt.policy.Hash()
			if (got == base.Hash()) != tt.equal {
				t.Errorf("%s: equal is %t, want %t", tt.reason, !tt.equal, tt.equal)
			}
			if twin, ok := seen[got]; ok && !tt.equal {
				t.Errorf("the same hash as %s", twin)
			}
			if !tt.equal {
				seen[got] = name
			}
			if got != tt.policy.Hash() {
				t.Error("the hash differs from call to call")
			}
		})
	}
}

// A golden value: the hash is in the status of every object, and one that
// changes with a release makes all of them look as if trust had changed.
func TestHashIsForEver(t *testing.T) {
	const first = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYGQxmvStdvciivSlPzSLvlAveRE1
bY92iz49mm/DiMNGM2h3U3qh1xC2z6qJZmGftMjseewVg72bbL2M2WWmjg==
-----END PUBLIC KEY-----
`
	keys, err := verify.ParseKeys([]byte(first))
	if err != nil {
		t.Fatal(err)
	}
	form := `{"version":1,"threshold":1,"authorities":[{"name":"release-key","keys":[` +
		`"sha256:9559efd3f696bb03f58a25c126b8f682ee00936ae8ecd922295a16c6e3a15d2e"],"transparencyLog":"Ignore"}]}`
	policy := threshold(1, verify.Authority{Name: "release-key", Keys: keys, TransparencyLog: verify.LogIgnore})
	const want = "sha256:949b873b1e0de42831128b9e18b8b4bdbffb64bd83fa2e480f73ba1af9efb9a1"
	if got := policy.Hash(); got != want || got != digestOf(form) {
		t.Errorf("expected %s over %s (%s), found %s", want, form, digestOf(form), got)
	}
}
