package registry

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
)

// FuzzSelector: of any tags the one that is chosen is what Masterminds' semver
// says of the range, read by itself, and what the filter matches as a whole;
// and an exact version is that version and no other.
func FuzzSelector(f *testing.F) {
	for _, seed := range []struct{ version, filter, tags string }{
		{"6.x", "", "1.0.0,6.0.0,v6.1.0,6.1.0_b"},
		{">=1.0.0-0 <2.0.0 || 3.x", ".*-arm", "1.0.0-arm,latest,,3.0.0"},
		{"1.0.0+build", "a)|(?:.*", "1.0.0_build"},
		{"", "", "99999999999999999999.0.0,1.0.0"},
		{"^v1 - 2", "(?i)x", "1.0.0"},
		{"1||3 - 4", "", "1.0.0,2.0.0,3.0.0,5.0.0"},
		{"1 || 3 - 4", "", "1.0.0,2.0.0,3.0.0,5.0.0"},
		{"~1.2.3-beta.1", "a|1.*", "1.2.3-beta.2,1.2.4,1.3.0,a"},
		{"*", "^1$|2.0.0", "1.0.0,2.0.0,12.0.0,2.0.0-rc.1"},
		{"v1.2.3", "", "v1.2.3,1.2.3"}, {"1.2.3-rc.1+b.2", "1.*", "1.2.3-rc.1_b.2"}, {"=1.2.3", "", "1.2.3,1.2.3_x"}, {"01.2.3", "", "1.2.3"}, {"1.2", "", "1.2.0,1.2"},
		{"!=1.0.0, <2", "\\Q1.0", "1.0.1"}, {"1.0.0", "x", "1.0.0"}, {"1.0.0_x", "", "1.0.0_x"}, {" 1.0.0", "", "1.0.0"}, {"1.0.0", "(?m)^1.0.0$", "1.0.0,1.0.0\nx"},
	} {
		f.Add(seed.version, seed.filter, seed.tags)
	}
	f.Fuzz(func(t *testing.T, version, filter, list string) {
		if len(version) > 96 || len(filter) > 256 {
			return // The bounds of the API.
		}
		s, err := NewSelector(version, "", "", filter)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		if s.ByDigest() || s.Pin() != "" {
			t.Errorf("%q, %q: selects by digest", version, filter)
		}
		tags := strings.Split(list, ",")
		for _, tag := range tags {
			if whole := matchesWhole(filter, tag); s.passes(tag) != whole {
				t.Errorf("%q passes %q: %t", tag, filter, !whole)
			}
		}
		if s.constraint == nil {
			wantExact(t, s, version)
			return
		}
		wantHighest(t, s, version, filter, tags)
	})
}

// matchesWhole reports whether a filter, compiled by itself, matches all of a
// tag.
func matchesWhole(filter, tag string) bool {
	if filter == "" {
		return true
	}
	alone, err := regexp.Compile(filter)
	if err != nil {
		return false
	}
	alone.Longest()
	found := alone.FindStringIndex(tag)
	return found != nil && found[0] == 0 && found[1] == len(tag)
}

// wantExact: the tag that is asked for is of that very version, build included.
func wantExact(t *testing.T, s Selector, version string) {
	t.Helper()
	wanted, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		t.Fatalf("%q selects %q, and is neither a version nor a range", version, s.tag)
	}
	found := versionOfTag(s.tag)
	if found == nil || found.String() != wanted.String() || !tagPattern.MatchString(s.tag) || strings.HasPrefix(s.tag, "v") != strings.HasPrefix(version, "v") {
		t.Errorf("%q selects the tag %q", version, s.tag)
	}
	if tag := s.highest([]string{}); tag != "" {
		t.Errorf("%q selects %q of no tags", version, tag)
	}
}

// wantHighest: of tags in any order the same is chosen; it matches, and none
// that matches is higher.
func wantHighest(t *testing.T, s Selector, version, filter string, tags []string) {
	t.Helper()
	if version == "" {
		version = "*"
	}
	constraint, err := semver.NewConstraint(version)
	if err != nil {
		t.Fatalf("%q is a range and is none", version)
	}
	best := s.highest(tags)
	matching := map[string]*semver.Version{}
	for _, tag := range tags {
		v, err := semver.StrictNewVersion(strings.ReplaceAll(strings.TrimPrefix(tag, "v"), "_", "+"))
		if err == nil && constraint.Check(v) && matchesWhole(filter, tag) {
			matching[tag] = v
		}
	}
	if (best == "") != (len(matching) == 0) || (best != "" && matching[best] == nil) {
		t.Errorf("%q of %q is chosen by %q, %q", best, tags, version, filter)
		return
	}
	for tag, v := range matching {
		if v.GreaterThan(matching[best]) {
			t.Errorf("%q is higher than %q, by %q", tag, best, version)
		}
	}
	slices.Reverse(tags)
	if again := s.highest(tags); again != best {
		t.Errorf("%q, and reversed %q", best, again)
	}
}
