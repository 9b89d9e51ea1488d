package registry

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Selector says which revision of a repository is wanted. Only [NewSelector]
// makes one; the zero value selects nothing.
type Selector struct {
	digest     string
	tag        string
	exact      *semver.Version
	constraint *semver.Constraints
	wanted     string
	filter     *regexp.Regexp
}

// SelectorError is a selection that means nothing.
type SelectorError struct {
	// Field is the name of the field in ModuleSource's spec.
	Field string
	// Problem is what was expected and what was found.
	Problem string
}

func (e *SelectorError) Error() string { return e.Field + ": " + e.Problem }

var (
	// tagPattern is the distribution specification's rule for tags: what is
	// none must not get into the path of a request.
	tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	// tightOr is "||" without a space on both sides.
	tightOr = regexp.MustCompile(`[^ |]\|\||\|\|[^ |]`)
)

// NewSelector reads the spec's version, tag, digest and versionFilter, each of
// which may be empty. The error is a *SelectorError.
func NewSelector(version, tag, digest, filter string) (Selector, error) {
	if version != "" && tag != "" {
		return Selector{}, &SelectorError{"tag", "expected version or tag, found both"}
	}
	if digest != "" && !digestPattern.MatchString(digest) {
		return Selector{}, &SelectorError{"digest", fmt.Sprintf("expected sha256: and 64 hexadecimal digits, found %.100q", digest)}
	}
	if tag != "" && !tagPattern.MatchString(tag) {
		return Selector{}, &SelectorError{"tag", fmt.Sprintf("expected letters, digits, underscores, periods and hyphens, found %.100q", tag)}
	}
	s := Selector{digest: digest, tag: tag}
	if tag == "" && (version != "" || digest == "") {
		if err := s.setVersion(version); err != nil {
			return Selector{}, err
		}
	}
	if filter != "" {
		if err := s.setFilter(filter); err != nil {
			return Selector{}, err
		}
	}
	return s, nil
}

func (s *Selector) setVersion(version string) error {
	if exact, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v")); err == nil {
		s.exact = exact
		// A tag cannot hold "+"; Helm writes "_" for it.
		s.tag = strings.ReplaceAll(version, "+", "_")
		s.wanted = "version " + version
		return nil
	}
	if version == "" {
		version = "*"
	}
	if strings.Contains(version, " - ") && tightOr.MatchString(version) {
		// The library takes "1||3 - 4" for ">=1 || (3, <=4)".
		return &SelectorError{"version", fmt.Sprintf("expected spaces around || beside a range from - to, found %.100q", version)}
	}
	constraint, err := semver.NewConstraint(version)
	if err != nil {
		return &SelectorError{"version", fmt.Sprintf("expected a semantic version or range such as 6.5.4 or 6.x, found %.100q", version)}
	}
	s.constraint = constraint
	s.wanted = "version " + version
	return nil
}

// setFilter compiles the expression alone before it is anchored, or
// "a)|(?:.*" would match everything.
func (s *Selector) setFilter(filter string) error {
	if s.exact == nil && s.constraint == nil {
		return &SelectorError{"versionFilter", "expected a version range to narrow, found none"}
	}
	if _, err := regexp.Compile(filter); err != nil {
		return &SelectorError{"versionFilter", fmt.Sprintf("expected a regular expression in RE2 syntax, found %.100q: %v", filter, err)}
	}
	anchored, err := regexp.Compile("^(?:" + filter + ")$")
	if err != nil {
		return &SelectorError{"versionFilter", fmt.Sprintf("expected a regular expression in RE2 syntax, found %.100q: %v", filter, err)}
	}
	s.filter = anchored
	return nil
}

// ByDigest reports whether only a digest is wanted, whatever its version.
func (s Selector) ByDigest() bool { return s.tag == "" && s.constraint == nil }

// Pin is the digest that the selection must resolve to; "" for any.
func (s Selector) Pin() string { return s.digest }

// Pinned is the revision that is wanted where it is known without asking.
func (s Selector) Pinned() (Revision, bool) { return Revision{Digest: s.digest}, s.ByDigest() }

func (s Selector) passes(tag string) bool { return s.filter == nil || s.filter.MatchString(tag) }

// highest returns the tag of the highest version that matches; "" for none.
// Tags that are no version are passed over. Of tags of equal precedence the
// one that sorts last wins, so that the answer does not depend on the order in
// which a registry lists them.
func (s Selector) highest(tags []string) string {
	var best string
	var bestVersion *semver.Version
	for _, tag := range tags {
		v := versionOfTag(tag)
		if v == nil || !s.passes(tag) || !s.constraint.Check(v) {
			continue
		}
		if bestVersion == nil || cmp.Or(v.Compare(bestVersion), strings.Compare(tag, best)) > 0 {
			best, bestVersion = tag, v
		}
	}
	return best
}

// versionOfTag reads a tag as a semantic version of three parts; nil if it is
// none.
func versionOfTag(tag string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.ReplaceAll(strings.TrimPrefix(tag, "v"), "_", "+"))
	if err != nil {
		return nil
	}
	return v
}
