package verify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// A window that nothing could satisfy is refused, and so is one that the
// evidence could not be compared with.
func TestInvalidWindows(t *testing.T) {
	root := trustedRoot(t, ours(t).Roots())
	bare := authority(t, "bare", p256(t, "signer"))
	logged := bare
	logged.TransparencyLog, logged.Root = verify.LogRequire, root
	identity := keyless(t, root, verify.LogIgnore, exactly(release)).Authorities[0]
	early, late := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)
	zoned := early.In(time.FixedZone("", -3600))
	var none time.Time
	for name, tt := range map[string]struct {
		authority   verify.Authority
		from, until time.Time
		field, says string // none for a policy that can be applied
	}{
		"key, both":                         {logged, early, late, "", ""},
		"key, from":                         {logged, early, none, "", ""},
		"key, until":                        {logged, none, late, "", ""},
		"identity, one second":              {identity, early, zoned, "", ""},
		"until before from":                 {logged, late, early, ".notAfter", "expected 2026-01-01T00:00:01Z, which is notBefore, or later, found 2026-01-01T00:00:00Z"},
		"until before from, identity":       {identity, late, zoned, ".notAfter", "2026-01-01T00:00:00Z"},
		"key with the log ignored, from":    {bare, early, none, ".notBefore", "where nothing says when a signature was made"},
		"key with the log ignored, until":   {bare, none, late, ".notAfter", "where nothing says when a signature was made"},
		"key with the log ignored, both":    {bare, early, late, ".notBefore", "where nothing says when a signature was made"},
		"key with the log ignored and root": {func() verify.Authority { a := bare; a.Root = root; return a }(), early, none, ".notBefore", "where nothing says"},
		"from in parts of a second":         {logged, early.Add(1), none, ".notBefore", "whole seconds, found 2026-01-01T00:00:00.000000001Z"},
		"until in parts of a second":        {identity, early, late.Add(time.Millisecond), ".notAfter", "whole seconds, found 2026-01-01T00:00:01.001Z"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.authority.NotBefore, tt.authority.NotAfter = tt.from, tt.until
			tt.authority.Name = "windowed"
			other := bare
			other.Name = "other"
			err := threshold(1, other, tt.authority).Validate()
			if tt.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var invalid *verify.PolicyError
			if !errors.As(err, &invalid) || invalid.Field != "verify.authorities[1]"+tt.field || !strings.Contains(invalid.Problem, tt.says) {
				t.Errorf("expected the field %s and %q, found %v", tt.field, tt.says, err)
			}
			if _, err := verify.Verify(threshold(1, other, tt.authority), artifact, nil); !errors.As(err, &invalid) {
				t.Errorf("judged in spite of it: %v", err)
			}
		})
	}
}

// The hash has the window, as an instant; and a policy without one has the hash
// that it had before there were any.
func TestHashOfWindows(t *testing.T) {
	root := trustedRoot(t, ours(t).Roots())
	of := func(from, until time.Time) verify.Policy {
		p := keyless(t, root, verify.LogRequire, exactly(release))
		p.Authorities[0].NotBefore, p.Authorities[0].NotAfter = from, until
		return p
	}
	form := func(window string) string {
		identity := string(marshal(t, map[string]string{"issuer": release.Issuer, "subject": release.Subject}))
		return digestOf(`{"version":1,"threshold":1,"authorities":[{"name":"keyless","keys":[],"identities":[` + identity +
			`],"transparencyLog":"Require","trustedRoot":"` + root.Hash() + `"` + window + `}]}`)
	}
	at := time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC)
	zoned := at.In(time.FixedZone("", 2*60*60))
	var none time.Time
	for name, tt := range map[string]struct {
		policy verify.Policy
		window string
	}{
		"none":           {of(none, none), ""},
		"none, zoned":    {of(none.In(time.FixedZone("", 3600)), none), ""},
		"from":           {of(at, none), `,"notBefore":"2026-01-31T23:30:00Z"`},
		"from, zoned":    {of(zoned, none), `,"notBefore":"2026-01-31T23:30:00Z"`},
		"until":          {of(none, at), `,"notAfter":"2026-01-31T23:30:00Z"`},
		"until, zoned":   {of(none, zoned), `,"notAfter":"2026-01-31T23:30:00Z"`},
		"both":           {of(zoned, at), `,"notBefore":"2026-01-31T23:30:00Z","notAfter":"2026-01-31T23:30:00Z"`},
		"a second later": {of(at.Add(time.Second), none), `,"notBefore":"2026-01-31T23:30:01Z"`},
	} {
		if !json.Valid([]byte(`{"x":1` + tt.window + `}`)) {
			t.Fatal("the test itself is wrong")
		}
		if got := tt.policy.Hash(); got != form(tt.window) {
			t.Errorf("%s: expected %s, found %s", name, form(tt.window), got)
		}
	}
}
