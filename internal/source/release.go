package source

import (
	"fmt"

	"github.com/Masterminds/semver/v3"

	"github.com/assay-dev/assay/internal/registry"
)

// Reasons of a revision that is refused for what was there before it. The
// values are those of the condition reasons in api/v1alpha1.
const (
	ReasonVersionMutated  = "VersionMutated"
	ReasonVersionRollback = "VersionRollback"
)

// Releases is what is known of a repository's versions. The zero value knows
// nothing, and refuses nothing.
type Releases struct {
	// Verified holds the digests at which versions were verified, by the
	// version without a v before it ([registry.Revision.SemVer]).
	Verified map[string]string
	// Accepted is the digest that a person accepts for a version that was
	// verified at another; "" for none.
	Accepted string
	// Published is the version below which the selection must not fall; nil for
	// none.
	Published *semver.Version
}

// check refuses a version that moved to another digest, and a selection that
// fell below what is published. Both can only be the repository's doing. A tag
// that is no semantic version is neither.
func (r Releases) check(revision registry.Revision) *Error {
	version := revision.SemVer()
	if version == nil {
		return nil
	}
	if before, ok := r.Verified[version.String()]; ok && before != revision.Digest && r.Accepted != revision.Digest {
		message := fmt.Sprintf(
			"%s: expected %s, at which this version was verified before, found %s: the tag was moved; to accept that, annotate with source.assay.dev/accept-digest=%s",
			revision.Version, before, revision.Digest, revision.Digest)
		if r.Accepted != "" {
			message += fmt.Sprintf(", which is %.100q now", r.Accepted)
		}
		return &Error{Step: StepResolve, Kind: Refused, Reason: ReasonVersionMutated, Message: message}
	}
	if r.Published != nil && version.LessThan(r.Published) {
		return &Error{Step: StepResolve, Kind: Refused, Reason: ReasonVersionRollback, Message: fmt.Sprintf(
			"%s: expected %s or higher, which is published, found that the highest match is lower: a tag was deleted; to accept that, edit spec.version or set spec.allowDowngrade",
			revision, r.Published)}
	}
	return nil
}
