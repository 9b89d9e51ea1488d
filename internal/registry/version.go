package registry

import "github.com/Masterminds/semver/v3"

// SemVer is the revision's version, where its tag is a semantic version of
// three parts, with or without a v before it; nil where it is not.
func (r Revision) SemVer() *semver.Version { return versionOfTag(r.Version) }
