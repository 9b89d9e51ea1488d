package source

import (
	"strconv"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
)

func TestReleases(t *testing.T) {
	before, now := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	verified := map[string]string{"1.2.0": before}
	tests := map[string]struct {
		releases Releases
		version  string
		digest   string
		reason   string // "" for none
	}{
		"nothing is known":                {Releases{}, "1.2.0", now, ""},
		"the same digest":                 {Releases{Verified: verified}, "1.2.0", before, ""},
		"another version":                 {Releases{Verified: verified}, "1.3.0", now, ""},
		"moved":                           {Releases{Verified: verified}, "1.2.0", now, ReasonVersionMutated},
		"moved, with a v":                 {Releases{Verified: verified}, "v1.2.0", now, ReasonVersionMutated},
		"moved, accepted":                 {Releases{Verified: verified, Accepted: now}, "1.2.0", now, ""},
		"moved, another one accepted":     {Releases{Verified: verified, Accepted: before}, "1.2.0", now, ReasonVersionMutated},
		"another build":                   {Releases{Verified: verified}, "1.2.0_build.1", now, ""},
		"a digest":                        {Releases{Verified: map[string]string{"": before}}, "", now, ""},
		"a tag":                           {Releases{Verified: map[string]string{"latest": before}}, "latest", now, ""},
		"higher":                          {Releases{Published: semver.MustParse("1.1.0")}, "1.2.0", now, ""},
		"as high":                         {Releases{Published: semver.MustParse("1.2.0")}, "v1.2.0", now, ""},
		"lower":                           {Releases{Published: semver.MustParse("1.3.0")}, "1.2.0", now, ReasonVersionRollback},
		"lower by a prerelease":           {Releases{Published: semver.MustParse("1.2.0")}, "1.2.0-rc.1", now, ReasonVersionRollback},
		"lower, accepted":                 {Releases{Published: semver.MustParse("1.3.0"), Accepted: now}, "1.2.0", now, ReasonVersionRollback},
		"lower, and was verified":         {Releases{Published: semver.MustParse("1.3.0"), Verified: verified}, "1.2.0", before, ReasonVersionRollback},
		"a tag, where one was published":  {Releases{Published: semver.MustParse("1.3.0")}, "latest", now, ""},
		"lower and moved: the worse wins": {Releases{Published: semver.MustParse("1.3.0"), Verified: verified}, "1.2.0", now, ReasonVersionMutated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.releases.check(registry.Revision{Version: tt.version, Digest: tt.digest})
			if tt.reason == "" {
				if err != nil {
					t.Errorf("expected none, found %s: %s", err.Reason, err)
				}
				return
			}
			if err == nil || err.Reason != tt.reason || err.Kind != Refused || err.Step != StepResolve {
				t.Fatalf("expected the refusal %s, found %+v", tt.reason, err)
			}
			if !strings.Contains(err.Message, tt.digest) || !strings.Contains(err.Message, tt.version) {
				t.Errorf("expected a message that names version and digest, found %q", err.Message)
			}
		})
	}
}

// An annotation that accepts something else is named, as it is written.
func TestAcceptedIsNamed(t *testing.T) {
	before, now := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	for accepted, want := range map[string]bool{"": false, "1.2.0": true, strings.ToUpper(now): true} {
		err := Releases{Verified: map[string]string{"1.2.0": before}, Accepted: accepted}.check(registry.Revision{Version: "1.2.0", Digest: now})
		if err == nil || err.Reason != ReasonVersionMutated {
			t.Fatalf("%q: expected a refusal, found %+v", accepted, err)
		}
		if found := strings.HasSuffix(err.Message, ", which is "+strconv.Quote(accepted)+" now"); found != want {
			t.Errorf("%q: expected it to be named: %t, found %q", accepted, want, err.Message)
		}
	}
}

func TestReasonsOfReleases(t *testing.T) {
	if ReasonVersionMutated != v1alpha1.ReasonVersionMutated || ReasonVersionRollback != v1alpha1.ReasonVersionRollback {
		t.Error("they are not those of the API")
	}
}
